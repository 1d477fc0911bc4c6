/**
 * @file The wall as one grid of all its records, of which only some are in the page. The place of a record depends on its number alone,
 * so what is loaded or dropped above and below moves nothing.
 */

/** Rows and columns of the wall, and the empty space above and below the tiles that are in the page. */
export class WallGrid {
  /** @param {HTMLElement} list @param {number} total records of the whole wall */
  constructor(list, total) {
    this.list = list;
    this.total = total;
    this.columns = 1;
    this.pitch = 1; // from row to row, in px
    this.column = 0; // width of a tile, in px
    this.top = 0; // from the top of the list to its first row, in px
  }

  /** Read the layout of the style sheet, and give all rows the height of the tallest tile. @returns {boolean} true if it has changed */
  measure() {
    const style = getComputedStyle(this.list);
    const tracks = style.gridTemplateColumns.split(" ");
    const gap = parseFloat(style.rowGap) || 0;
    const height = Math.max(1, ...[...this.list.querySelectorAll(".tile")].map((tile) => tile.offsetHeight));
    const before = `${this.columns} ${this.pitch} ${this.column}`;
    this.columns = tracks.length;
    this.column = parseFloat(tracks[0]);
    this.pitch = height + gap;
    this.top = parseFloat(style.paddingTop) - (parseFloat(this.list.style.getPropertyValue("--above")) || 0);
    const lengths = { "--row": height, "--row-gap": gap, "--column": this.column, "--column-gap": parseFloat(style.columnGap) || 0 };
    for (const [name, px] of Object.entries(lengths)) this.list.style.setProperty(name, `${px}px`);
    this.list.style.gridAutoRows = `${height}px`;
    return before !== `${this.columns} ${this.pitch} ${this.column}`;
  }

  /** Put the tiles in the page where they belong. @param {number} start number of the first one, from 0 @param {number} count */
  place(start, count) {
    const above = Math.floor(start / this.columns);
    const beneath = Math.ceil(this.total / this.columns) - Math.ceil((start + count) / this.columns);
    this.list.style.setProperty("--above", `${above * this.pitch}px`);
    this.list.style.setProperty("--beneath", `${Math.max(0, beneath) * this.pitch}px`);
    const items = this.list.children;
    for (const item of this.list.querySelectorAll(":scope > li[style]")) item.style.gridColumnStart = "";
    if (items.length) items[0].style.gridColumnStart = String((start % this.columns) + 1);
  }

  /** Return the number of the first record of the row at a height of the screen. @param {number} y px from its top @returns {number} */
  recordAt(y) {
    const top = this.list.getBoundingClientRect().top + this.top;
    const row = Math.floor((y - top) / this.pitch);
    return Math.min(Math.max(0, row * this.columns), this.total - 1);
  }
}
