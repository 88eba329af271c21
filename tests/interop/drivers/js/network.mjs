// What stands between the SDK and the server: it can be cut, and it remembers what the server refused and whom keys went to.

/** Ids in a path differ from run to run; `…` stands for them. */
const shape = (url) =>
    new URL(url).pathname
        .split("/")
        .map((part) => (/^[!$@#]/.test(decodeURIComponent(part)) ? "…" : part))
        .join("/");

export class Network {
    refused = new Map(); // "GET /path 404 M_UNRECOGNIZED" -> how often
    stateAfter = 0; // answers to /sync that said the state after the timeline
    #cut = null;
    #writtenTo = new Map(); // by user: the devices that an encrypted message was sent to

    /** In the form of fetch, for createClient. */
    fetch = async (url, options) => {
        if (this.#cut) throw new TypeError("the network is cut");
        const response = await Promise.race([fetch(url, options), this.#whenCut()]);
        if (shape(url).includes("/sendToDevice/m.room.encrypted/")) this.#rememberDevices(options.body);
        if (!response.ok) await this.#remember(url, options?.method ?? "GET", response.clone());
        if (response.ok && shape(url).endsWith("/sync")) await this.#lookAtSync(response.clone());
        return response;
    };

    cut() {
        this.#cut = true;
        for (const fail of this.#underWay) fail(new TypeError("the network was cut"));
        this.#underWay.clear();
    }

    mend() {
        this.#cut = null;
    }

    takeDevicesWrittenTo(userId) {
        const devices = [...(this.#writtenTo.get(userId) ?? [])];
        this.#writtenTo.delete(userId);
        return devices;
    }

    #underWay = new Set();

    #whenCut() {
        const fallen = new Promise((_resolve, reject) => this.#underWay.add(reject));
        fallen.catch(() => {}); // nobody may be listening any more
        return fallen;
    }

    #rememberDevices(body) {
        for (const [userId, devices] of Object.entries(JSON.parse(body).messages)) {
            const known = this.#writtenTo.get(userId) ?? new Set();
            for (const deviceId of Object.keys(devices)) known.add(deviceId);
            this.#writtenTo.set(userId, known);
        }
    }

    async #remember(url, method, response) {
        const { errcode } = await response.json().catch(() => ({}));
        const line = `${method} ${shape(url)} ${response.status} ${errcode}`;
        this.refused.set(line, (this.refused.get(line) ?? 0) + 1);
    }

    async #lookAtSync(response) {
        const { rooms } = await response.json();
        const joined = Object.values(rooms?.join ?? {});
        if (joined.some((room) => "org.matrix.msc4222.state_after" in room || "state_after" in room)) this.stateAfter++;
    }
}
