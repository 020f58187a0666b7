import { word } from "./word.js";

const show = () => { document.querySelector("p").textContent = `word ${word}`; };
show();
if (module.hot) module.hot.accept("./word.js", show);
