// A camera whose frames are taken when the page is ready for the next.

import { pixelsOf } from "./picture.js";

const WIDTH = 640; // asked for: networks see less

/** What a browser calls its errors, and what they mean to who sits before it. */
const REASONS = {
  NotAllowedError: "it was not allowed; allow it beside the page's address",
  NotFoundError: "there is none on this device",
  NotReadableError: "another program uses it",
};

/** A running camera. */
export class Camera {
  #stream;
  #video;

  constructor(stream, video) {
    this.#stream = stream;
    this.#video = video;
  }

  /**
   * Open a camera.
   *
   * @param {string} [deviceId] One of `cameraIds`; else the one at the back, if any.
   * @throws {Error} One line: it is not there, not free or not allowed.
   */
  static async open(deviceId) {
    if (!navigator.mediaDevices) {
      throw new Error("Browsers give a camera to https and localhost only.");
    }
    const which = deviceId
      ? { deviceId: { exact: deviceId } }
      : { facingMode: "environment" };
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        video: { ...which, width: { ideal: WIDTH } },
      });
      const video = document.createElement("video");
      video.muted = true;
      video.playsInline = true;
      video.srcObject = stream;
      await video.play();
      return new Camera(stream, video);
    } catch (error) {
      throw new Error(
        `The camera does not open: ${REASONS[error.name] ?? error.message}.`,
      );
    }
  }

  /** Which camera it is. */
  get deviceId() {
    return this.#stream.getVideoTracks()[0].getSettings().deviceId;
  }

  /** Return the RGBA pixels that it sees now. */
  frame() {
    return pixelsOf(this.#video, this.#video.videoWidth, this.#video.videoHeight);
  }

  /** Switch it off, its light too. */
  close() {
    for (const track of this.#stream.getTracks()) track.stop();
  }
}

/** Return the cameras that there are; browsers tell after one was allowed. */
export async function cameraIds() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const cameras = devices.filter(({ kind }) => kind === "videoinput");
  return cameras.map(({ deviceId }) => deviceId);
}
