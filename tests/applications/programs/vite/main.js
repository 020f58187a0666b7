import { word } from "./word.js";

const show = (what) => { document.querySelector("p").textContent = `word ${what}`; };
show(word);
import.meta.hot.accept("./word.js", (module) => show(module.word));
