// JSON lines over stdin and stdout; see ../lines.py for the form. stderr is the driver's log.
import { createInterface } from "node:readline";

const PATIENCE_MS = 30_000;

/** What the client has seen so far; a test may wait for an entry that came before or comes later. */
export class Inbox {
    #entries = [];
    #waiting = new Set();

    put(entry) {
        this.#entries.push(entry);
        for (const look of this.#waiting) look();
    }

    wait(wanted, what) {
        return new Promise((resolve, reject) => {
            const look = () => {
                const entry = this.#entries.find(wanted);
                if (entry === undefined) return;
                finish();
                resolve(entry);
            };
            const timer = setTimeout(() => {
                finish();
                reject(new Error(`${what} did not come; seen so far: ${JSON.stringify(this.#entries)}`));
            }, PATIENCE_MS);
            const finish = () => {
                clearTimeout(timer);
                this.#waiting.delete(look);
            };
            this.#waiting.add(look);
            look();
        });
    }
}

/** Polls a condition of the client library until it is true, and returns its value. */
export async function until(condition, what) {
    const deadline = Date.now() + PATIENCE_MS;
    while (Date.now() < deadline) {
        const value = await condition();
        if (value) return value;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${what} did not come`);
}

/** Serves until stdin is closed. */
export function run(driver) {
    const requests = createInterface({ input: process.stdin });
    requests.on("line", async (line) => {
        const { id, command, arguments: named } = JSON.parse(line);
        let answer;
        try {
            answer = { id, result: (await driver[command](named ?? {})) ?? null };
        } catch (error) {
            console.error(error);
            answer = { id, error: `${error.name}: ${error.message}` };
        }
        process.stdout.write(JSON.stringify(answer) + "\n");
    });
    requests.on("close", () => process.exit(0));
}
