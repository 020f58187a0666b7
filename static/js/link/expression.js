// Link: asks the server about expressions. It alone evaluates them.

import { isShort, translate } from "../model/shorthand.js";
import { json } from "./feed.js";

/** Rejects with the server's fault of an expression, which contains the expression too. */
async function check(expression) {
  try {
    await json(`api/events?${new URLSearchParams({ limit: 0, filter: expression })}`);
  } catch (error) {
    throw Object.assign(error, { expression });
  }
}

/** Resolves with the expression of a text: itself, or the translation of its short terms. */
export async function expressionOf(text) {
  const isValid = (term) => check(term).then(() => true, (error) => error.position === undefined);
  const expression = isShort(text) ? await translate(text, isValid) : text;
  await check(expression);
  return expression;
}
