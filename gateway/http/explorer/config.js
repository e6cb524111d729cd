// What the server put into the page: addresses, ready questions and, in a demo, a key.
export const config = JSON.parse(document.getElementById("explorer-config").textContent);
