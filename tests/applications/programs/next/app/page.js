"use client";

import { useEffect } from "react";

import { word } from "./word";

export default function Page() {
  useEffect(() => { document.body.dataset.mounted = "yes"; }, []);
  return <p>word {word}</p>;
}
