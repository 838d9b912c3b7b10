"use strict";
const resources = ["/static/stone.txt", "/time", "/hello", "/private", "/slow"];
const rows = document.getElementById("looks");

async function look(path, row) {
  const answer = await fetch(path, { cache: "no-store" });
  await answer.text();
  row.cells[1].textContent = answer.headers.get("Cache-Status") || "";
  row.cells[2].textContent = answer.headers.get("Age") || "";
}

for (const path of resources) {
  const row = rows.insertRow();
  const button = document.createElement("button");
  for (const text of [path, "", ""]) row.insertCell().textContent = text;
  button.textContent = "again";
  button.onclick = () => look(path, row);
  row.insertCell().append(button);
  look(path, row);
}

const events = new EventSource("/events");
events.onmessage = (event) => { document.getElementById("clock").textContent = event.data; };
