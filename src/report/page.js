// The page's behaviour: tables sort, one strategy can be picked out in all figures, colours can be chosen, and everything is
// open when it is printed. Without scripts the page is complete, only not sortable.
'use strict';

for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector('button').addEventListener('click', () => {
    const up = head.getAttribute('aria-sort') !== 'ascending';
    heads.forEach(other => other.setAttribute('aria-sort', 'none'));
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const numeric = [...table.tBodies[0].rows].some(row => row.cells[column].dataset.key !== undefined);
    const key = row => {
      const cell = row.cells[column];
      return numeric ? (cell.dataset.key === undefined ? NaN : Number(cell.dataset.key)) : cell.textContent;
    };
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (numeric && (Number.isNaN(x) || Number.isNaN(y))) return Number.isNaN(x) - Number.isNaN(y); // what is missing comes last
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
    });
    table.tBodies[0].append(...rows);
  }));
}

const chooser = document.getElementById('highlight');
const strategies = new Set([...chooser.options].map(option => option.value).filter(value => value !== ''));
const curves = [...document.querySelectorAll('svg.plot g > title')]
  .map(title => ({group: title.parentNode, name: title.textContent.trim()}))
  .filter(curve => strategies.has(curve.name));
chooser.addEventListener('change', () => {
  for (const curve of curves) curve.group.classList.toggle('dim', chooser.value !== '' && curve.name !== chooser.value);
  for (const row of document.querySelectorAll('table.sortable tbody tr'))
    row.classList.toggle('chosen', row.cells[0].textContent === chooser.value);
});

const theme = document.getElementById('theme');
theme.addEventListener('change', () => {
  if (theme.value === '') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', theme.value);
});

let opened = [];
window.addEventListener('beforeprint', () => {
  opened = [...document.querySelectorAll('details.more:not([open])')];
  for (const part of opened) part.open = true;
});
window.addEventListener('afterprint', () => { for (const part of opened) part.open = false; });

// A link to a figure that is folded away opens it.
const reveal = () => {
  const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
  for (let part = target && target.closest('details'); part; part = part.parentNode.closest('details')) part.open = true;
  if (target) target.scrollIntoView();
};
window.addEventListener('hashchange', reveal);
reveal();
