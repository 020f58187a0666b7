//! Keys and tokens whose form says who has issued them, as their issuers and the scanners of
//! repositories (GitHub secret scanning, gitleaks) describe them.

/// Matches the begin of each, in one fast search.
pub(super) const PROBE: &str = r"gh[opsur]_ | github_pat_ | gl[a-z]{2,5}- | xox[a-z]- | xapp-
    | A(?:KI|SI|BI|CC)A | AIza | ya29\. | GOCSPX- | 1//0 | [sprw][kh](?:sec)?_ | (?-u:\b)sk- | SG\.
    | SK[0-9a-f]{8} | (?-u:\b)hf_ | npm_ | pypi- | do[opr]_v1_ | shp[a-z]{2}_ | sq0[a-z]{3}- | EAAA
    | [0-9]{8}:[A-Za-z0-9_-]{35} | hooks\.slack | api/webhooks/ | key-[0-9a-f] | dapi[0-9a-f]
    | lin_api_ | ntn_ | secret_ | gsk_ | xai- | r8_ | pplx- | hv[bs]\. | ATATT | figd_ | dp\.[a-z]{2}
    | sbp_ | sb_secret_ | PMAK- | NRAK- | glsa_ | glc_ | sntry[su]_ | AGE-SECRET | fm[12]_ | dckr_pat_
    | rubygems_ | patA | pat[A-Za-z0-9]{14}\. | [MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.
    | tskey- | phc_ | phx_ | pul- | LTAI | -us[0-9]";

/// The whole of each; the match of the group is hidden.
pub(super) const KEYS: &str = r"(?x) (?-u:\b) (
      gh[opsur]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{22,} | gl[a-z]{2,5}-[A-Za-z0-9_-]{20,}
    | xox[a-z]-[A-Za-z0-9-]{10,} | xapp-[0-9]-[A-Za-z0-9-]{10,}
    | (?:A(?:KI|SI|BI|CC)A)[A-Z0-9]{16} | LTAI[A-Za-z0-9]{12,}
    | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9_-]{10,} | GOCSPX-[A-Za-z0-9_-]{20,}
    | 1//0[A-Za-z0-9_-]{20,}
    | [spr]k_(?:live|test|prod)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9+/=]{16,}
    | sk-[A-Za-z0-9_-]{16,} | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | SK[0-9a-f]{32}
    | hf_[A-Za-z0-9]{20,} | npm_[A-Za-z0-9]{30,} | pypi-[A-Za-z0-9_-]{40,}
    | do[opr]_v1_[0-9a-f]{40,} | shp[a-z]{2}_[0-9a-fA-F]{32} | sq0[a-z]{3}-[A-Za-z0-9_-]{22,}
    | EAAA[A-Za-z0-9_-]{50,} | [0-9]{8,10}:[A-Za-z0-9_-]{35}
    | key-[0-9a-f]{32} | [0-9a-f]{32}-us[0-9]{1,2} | dapi[0-9a-f]{32}
    | lin_api_[A-Za-z0-9]{30,} | (?:ntn|secret)_[A-Za-z0-9]{40,} | gsk_[A-Za-z0-9]{30,}
    | xai-[A-Za-z0-9]{30,} | r8_[A-Za-z0-9]{30,} | pplx-[A-Za-z0-9]{30,}
    | hv[bs]\.[A-Za-z0-9_-]{20,} | ATATT[A-Za-z0-9_=-]{30,} | figd_[A-Za-z0-9_-]{20,}
    | dp\.[a-z]{2}\.[A-Za-z0-9._-]{30,} | sbp_[0-9a-f]{40} | sb_secret_[A-Za-z0-9_-]{20,}
    | PMAK-[A-Za-z0-9-]{30,} | NRAK-[A-Z0-9]{20,} | glsa_[A-Za-z0-9_]{30,} | glc_[A-Za-z0-9+/=]{30,}
    | sntry[su]_[A-Za-z0-9+/=_-]{30,} | AGE-SECRET-KEY-1[A-Z0-9]{40,} | fm[12]_[A-Za-z0-9+/=_-]{30,}
    | dckr_pat_[A-Za-z0-9_-]{20,} | rubygems_[0-9a-f]{40,} | pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}
    | [MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}
    | tskey-[a-z]+-[A-Za-z0-9-]{20,} | ph[cx]_[A-Za-z0-9]{30,} | pul-[0-9a-f]{40}
)";

/// Addresses that are secrets themselves: the part that no other has.
pub(super) const WEBHOOKS: &str = r"(?x)
    (?: hooks\.slack(?:-gov)?\.com/(?:services|workflows)/ | /api/webhooks/[0-9]+/ )
    ([A-Za-z0-9_/-]{16,})";
