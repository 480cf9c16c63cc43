"use strict";
// The table of rows: searching, choosing a status, sorting. Without this script the table stands there whole.
(function () {
  var tools = document.getElementById("tools"), table = document.getElementById("rows-table");
  if (!tools || !table) return;
  var body = table.tBodies[0], search = document.getElementById("search"), chosen = document.getElementById("status");
  var told = document.getElementById("told"), lines = Array.prototype.slice.call(body.rows);
  var texts = lines.map(function (line) { return line.textContent.toLowerCase().replace(/\s+/g, " "); });
  tools.hidden = false;

  function filter() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean), wanted = chosen ? chosen.value : "", seen = 0;
    lines.forEach(function (line, i) {
      var fits = words.every(function (word) { return texts[i].indexOf(word) >= 0; });
      line.hidden = !(fits && (!wanted || line.dataset.status === wanted));
      seen += line.hidden ? 0 : 1;
    });
    told.textContent = seen + " of " + lines.length + (lines.length === 1 ? " row" : " rows");
  }

  function sort(head, index) {
    var down = head.getAttribute("aria-sort") !== "descending";
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell) { cell.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var key = function (line) { return Number(line.cells[index].dataset.sort); };
    lines.slice().sort(function (a, b) { return (down ? -1 : 1) * (key(a) - key(b)); })
      .forEach(function (line) { body.appendChild(line); });
  }

  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, index) {
    if (!head.hasAttribute("data-sortable")) return;
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () { sort(head, index); });
  });
  search.addEventListener("input", filter);
  if (chosen) chosen.addEventListener("change", filter);
  filter();
})();
