/** @file The path below which a proxy shows this site, such as `/vinyl`; empty if it is the whole site. */

export const prefix = document.documentElement.dataset.prefix ?? "";

/** Returns the address of a path of this site, such as `/files`. */
export const at = (path) => prefix + path;
