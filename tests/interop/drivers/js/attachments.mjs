// Encrypted attachments (client-server API, "Sending encrypted attachments"): AES-256-CTR, the counter in the low 64 bits.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

const unpadded = (bytes) => Buffer.from(bytes).toString("base64").replace(/=+$/, "");
const sha256 = (bytes) => unpadded(createHash("sha256").update(bytes).digest());

export function encryptAttachment(plaintext) {
    const key = randomBytes(32);
    const iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)]);
    const cipher = createCipheriv("aes-256-ctr", key, iv);
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    const file = {
        v: "v2",
        key: { alg: "A256CTR", kty: "oct", ext: true, key_ops: ["encrypt", "decrypt"], k: key.toString("base64url") },
        iv: unpadded(iv),
        hashes: { sha256: sha256(ciphertext) },
    };
    return { ciphertext, file };
}

export function decryptAttachment(ciphertext, file) {
    if (sha256(ciphertext) !== file.hashes.sha256.replace(/=+$/, "")) throw new Error("the ciphertext was changed");
    const key = Buffer.from(file.key.k, "base64url");
    const decipher = createDecipheriv("aes-256-ctr", key, Buffer.from(file.iv, "base64"));
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
}
