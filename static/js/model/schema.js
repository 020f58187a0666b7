// Model: JSON Schemas as OpenAPI and AsyncAPI carry them, in words and as examples. No DOM.

/** How deep a schema is told; deeper ones are named. */
const DEPTH = 5;

/** What a `$ref` stands for; `name` is its last part. */
export function resolve(root, schema) {
  let found = schema ?? {};
  let name = found.title ?? "";
  for (let n = 0; n < 20 && typeof found.$ref === "string"; n += 1) {
    const parts = found.$ref.replace(/^#\//, "").split("/").map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));
    name = parts.at(-1);
    found = parts.reduce((at, part) => at?.[part], root) ?? {};
  }
  return { schema: found, name };
}

const alternatives = (schema) => schema.oneOf ?? schema.anyOf ?? null;

/** The type of a schema in words: `string, date-time`, `array of Event`, `"in" or "out"`. */
export function typeWords(root, given, depth = 0) {
  const { schema, name } = resolve(root, given);
  const others = alternatives(schema);
  if (others) return depth > 1 && name ? name : [...new Set(others.map((one) => resolve(root, one).name || typeWords(root, one, depth + 1)))].join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  const types = [schema.type ?? (schema.properties ? "object" : schema.items ? "array" : "any")].flat();
  return types.map((type) => {
    if (type === "array") {
      const item = resolve(root, schema.items);
      return `array of ${item.name || typeWords(root, schema.items, depth + 1)}`;
    }
    if (type === "object" && name && depth > 0) return name;
    if (type === "string" && schema.format) return `string, ${schema.format}`;
    return type;
  }).join(" or ");
}

/** Bounds in words: `1 to 128 characters`, `at least 0`, `1 to 3 or 7 to 9`. */
export function limits(schema) {
  const others = alternatives(schema);
  if (others) return others.map(limits).filter(Boolean).join(" or ");
  const between = (low, high, unit) => {
    if (low === undefined && high === undefined) return [];
    if (high === undefined) return [`at least ${low}${unit}`];
    return [low === undefined ? `at most ${high}${unit}` : `${low} to ${high}${unit}`];
  };
  return [
    ...between(schema.minLength, schema.maxLength, " characters"),
    ...between(schema.minimum, schema.maximum, ""),
    ...between(schema.minItems, schema.maxItems, " items"),
  ].join(", ");
}

/**
 * The members of a schema, in their order: `{ name, level, type, required, about, limits }`. An
 * alternative begins with a row `{ choice, level }`.
 */
export function members(root, given, level = 0, above = []) {
  const { schema, name } = resolve(root, given);
  if (level > DEPTH || (name && above.includes(name))) return [];
  const path = name ? [...above, name] : above;
  const others = alternatives(schema);
  if (others) {
    // A value or nothing is told by its type.
    const told = others.filter((one) => resolve(root, one).schema.type !== "null");
    if (told.length === 1) return members(root, told[0], level, path);
    return told.flatMap((one) => {
      const { schema: found, name: called } = resolve(root, one);
      const inside = members(root, one, level + 1, path);
      return inside.length > 0 || told.length > 1 ? [{ choice: called || typeWords(root, one), level, about: found.description ?? "" }, ...inside] : [];
    });
  }
  if (schema.type === "array" || schema.items) return members(root, schema.items, level, path);
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const { schema: found } = resolve(root, value);
    const row = {
      name: key,
      level,
      type: typeWords(root, value, 1),
      required: (schema.required ?? []).includes(key),
      about: value.description ?? found.description ?? "",
      limits: limits(found),
    };
    return [row, ...members(root, value, level + 1, path)];
  });
}

/** A value as the schema has it: its own example, or one made of those of its members. */
export function example(root, given, above = []) {
  const { schema, name } = resolve(root, given);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.length > 0) return schema.examples[0];
  if (above.length > DEPTH || (name && above.includes(name))) return null;
  const path = [...above, name];
  const others = alternatives(schema);
  if (others) return example(root, others[0], path);
  if (schema.enum) return schema.enum[0];
  switch ([schema.type].flat()[0] ?? (schema.properties ? "object" : undefined)) {
    case "object": return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([key, value]) => [key, example(root, value, path)]));
    case "array": return [example(root, schema.items, path)];
    case "string": return schema.format === "date-time" ? "2025-11-20T20:20:00.000Z" : "";
    case "integer": case "number": return schema.minimum ?? 0;
    case "boolean": return false;
    default: return null;
  }
}
