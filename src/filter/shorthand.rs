//! Short forms.
