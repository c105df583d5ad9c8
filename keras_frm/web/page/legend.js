// The table of classes: colour, name, share of the mask.

/** Fill the table with a model's classes, without shares. */
export function showClasses(body, { classes, palette }) {
  const rows = classes.map((name, id) => {
    const row = document.createElement("tr");
    const swatch = document.createElement("td");
    swatch.className = "swatch";
    swatch.style.backgroundColor = `rgb(${palette[id].join(" ")})`;
    const title = document.createElement("th");
    title.scope = "row";
    title.textContent = name; // a file's names may hold markup
    row.append(swatch, title, document.createElement("td"));
    return row;
  });
  body.replaceChildren(...rows);
}

/** Write the share of every class. Rows keep their places: a camera's shares jump. */
export function showShares(body, mask) {
  const counts = new Uint32Array(256);
  for (const id of mask) counts[id] += 1;
  [...body.rows].forEach((row, id) => {
    row.className = counts[id] ? "" : "absent";
    const share = (100 * counts[id]) / mask.length;
    row.lastElementChild.textContent = `${share.toFixed(1)} %`;
  });
}
