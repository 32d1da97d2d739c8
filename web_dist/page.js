// Fills in what only the running program knows: its name, its version, its address.
"use strict";

for (const place of document.querySelectorAll(".address")) {
  place.textContent = location.origin;
}

const state = document.getElementById("state");
fetch("api/status")
  .then((response) => response.json())
  .then(({ data }) => {
    const name = data.system_name || "One API";
    document.title = name;
    document.getElementById("name").textContent = name;
    const since = new Date(data.start_time * 1000).toLocaleString();
    state.textContent = `${data.version} · 运行自 / running since ${since}`;
  })
  .catch(() => {
    state.textContent = "状态接口没有响应 / the status does not answer";
  });
