// The page's side of the worker: its actions as functions that give promises.

/** Start the worker; `onStop` is told in one line if it dies. */
export function startWorker(onStop) {
  const worker = new Worker("worker.js");
  const waiting = new Map();
  let lastId = 0;

  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  };
  worker.onerror = (event) => {
    onStop(
      `The worker stopped (${event.message ?? "it did not load"}): reload the page.`,
    );
  };

  function call(action, given = {}, moved = []) {
    return new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      worker.postMessage({ id: lastId, action, ...given }, moved);
    });
  }

  return {
    start: () => call("start"),
    open: (bytes, threads) => call("open", { bytes, threads }),
    segment: (pixels) => call("segment", { pixels }),
  };
}
