// Short-authentication-string verification with matrix-js-sdk: request, ready, start, accept, key, mac, done.
import { CryptoEvent, VerificationPhase } from "matrix-js-sdk/lib/crypto-api/index.js";

import { until } from "./lines.mjs";

export class Verification {
    #client;
    #talks = new Map(); // by the other user: {request, verified: the promise of verify()}

    constructor(client) {
        this.#client = client;
        client.on(CryptoEvent.VerificationRequestReceived, (request) => this.#talks.set(request.otherUserId, { request }));
    }

    async start(userId, deviceId) {
        const crypto = this.#client.getCrypto();
        await until(async () => (await crypto.getUserDeviceInfo([userId], true)).get(userId)?.has(deviceId), deviceId);
        await this.#talk(userId, await crypto.requestDeviceVerification(userId, deviceId));
    }

    async startInRoom(userId, roomId) {
        await this.#talk(userId, await this.#client.getCrypto().requestVerificationDM(userId, roomId));
    }

    async startOwn() {
        const request = await this.#client.getCrypto().requestOwnUserVerification();
        await this.#talk(this.#client.getUserId(), request);
    }

    async #talk(userId, request) {
        const talk = { request };
        this.#talks.set(userId, talk);
        await until(() => request.phase >= VerificationPhase.Ready, `${userId} ready`);
        this.#begin(talk, await request.startVerification("m.sas.v1"));
    }

    async accept(userId) {
        const talk = await until(() => this.#talks.get(userId), `a request of ${userId}`);
        await talk.request.accept();
        this.#begin(talk, await until(() => talk.request.verifier, `the start of ${userId}`));
    }

    async sas(userId) {
        const { verifier, failure } = this.#talks.get(userId);
        return until(() => {
            if (failure?.error) throw failure.error;
            return verifier.getShowSasCallbacks();
        }, `the code shared with ${userId}`);
    }

    async confirm(userId) {
        const talk = this.#talks.get(userId);
        await (await this.sas(userId)).confirm();
        await talk.verified;
        if (talk.failure.error) throw talk.failure.error;
    }

    /** verify() answers only at the end, so it runs beside the story; its error waits for whoever asks next. */
    #begin(talk, verifier) {
        talk.verifier = verifier;
        talk.failure = {};
        talk.verified = verifier.verify().catch((error) => {
            talk.failure.error = error;
        });
    }
}
