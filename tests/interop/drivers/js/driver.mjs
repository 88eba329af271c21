// A matrix-js-sdk client with Rust crypto, driven by JSON lines.
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/index.js";

import { decryptAttachment, encryptAttachment } from "./attachments.mjs";
import { everyday } from "./everyday.mjs";
import { finding } from "./finding.mjs";
import { Inbox, run, until } from "./lines.mjs";
import { Network } from "./network.mjs";
import { OAuthSignIn } from "./oauth.mjs";
import { proposals, slidingSync } from "./proposals.mjs";
import { opened, screens } from "./screens.mjs";
import { Verification } from "./verification.mjs";

// stdout belongs to the answers
for (const level of ["log", "info", "debug", "trace"]) console[level] = console.error;
logger.setLevel?.("warn");

class JsDriver {
    #messages = new Inbox();
    #files = new Inbox();
    #typing = new Inbox();
    #receipts = new Inbox();
    #client;
    #verification;
    #storageKeys = new Map();
    #askedInBrowser = new Inbox();
    #isApproved = false;
    #reset;
    #network = new Network();
    #oauth = new OAuthSignIn();

    // -- the account -------------------------------------------------------------------------------------------------

    async register({ homeserver, username, password }) {
        const auth = { type: "m.login.dummy" };
        const request = { username, password, auth, initial_device_display_name: "js" };
        return this.#begin(homeserver, await sdk.createClient({ baseUrl: homeserver }).registerRequest(request));
    }

    async login({ homeserver, username, password }) {
        const identifier = { type: "m.id.user", user: username };
        const request = { type: "m.login.password", identifier, password, initial_device_display_name: "js" };
        return this.#begin(homeserver, await sdk.createClient({ baseUrl: homeserver }).loginRequest(request));
    }

    oauth_begin = (wanted) => this.#oauth.begin(wanted);
    oauth_with_code = (wanted) => this.#oauth.beginWithCode(wanted);
    oauth_refresh = (wanted) => this.#oauth.refresh(wanted);
    oauth_revoke = (wanted) => this.#oauth.revoke(wanted);

    oauth_show_qr = () => this.#oauth.show({ client: this.#client });
    oauth_qr_page = () => this.#oauth.page();
    oauth_qr_share = () => this.#oauth.share();
    oauth_scan_qr = (wanted) => this.#oauth.scan(wanted);

    /** A device that scanned the code of another one has its secrets, and signs itself. */
    async oauth_finish_scanned({ homeserver }) {
        const { session, secrets } = await this.#oauth.finishScanned();
        const known = await this.#begin(homeserver, session);
        const crypto = this.#client.getCrypto();
        await crypto.userHasCrossSigningKeys(known.user_id, true);
        await crypto.importSecretsBundle(secrets);
        await crypto.crossSignDevice(known.device_id);
        return known;
    }

    async oauth_finish({ homeserver, code }) {
        const session = code ? await this.#oauth.finish({ code }) : await this.#oauth.finishWithCode();
        return this.#begin(homeserver, session);
    }

    async logout() {
        await this.#client.logout(true);
    }

    async close() {
        this.#client.stopClient();
    }

    async #begin(baseUrl, { user_id: userId, device_id: deviceId, access_token: accessToken, ...refreshing }) {
        const cryptoCallbacks = {
            getSecretStorageKey: async ({ keys }) => this.#knownStorageKey(Object.keys(keys)),
            cacheSecretStorageKey: (keyId, _description, key) => this.#storageKeys.set(keyId, key),
        };
        const asElement = { timelineSupport: true, fetchFn: this.#network.fetch, ...refreshing };
        this.#client = sdk.createClient({ baseUrl, userId, deviceId, accessToken, cryptoCallbacks, ...asElement });
        Object.assign(this, screens(this.#client), everyday(this.#client), proposals(this.#client), finding(this.#client));
        await this.#client.initRustCrypto({ useIndexedDB: false });
        this.#verification = new Verification(this.#client);
        this.#listen();
        await this.#client.startClient({
            initialSyncLimit: 20,
            lazyLoadMembers: true,
            threadSupport: true,
            pendingEventOrdering: sdk.PendingEventOrdering.Detached,
            slidingSync: process.argv.includes("--sliding") ? slidingSync(this.#client, baseUrl) : undefined,
        });
        await until(() => this.#client.isInitialSyncComplete(), "the first sync");
        return { user_id: userId, device_id: deviceId };
    }

    #listen() {
        const look = (event) => this.#onEvent(event);
        this.#client.on(sdk.RoomEvent.Timeline, look);
        this.#client.on(sdk.MatrixEventEvent.Decrypted, look);
        this.#client.on(sdk.RoomMemberEvent.Typing, (_event, member) => {
            if (member.typing) this.#typing.put({ room_id: member.roomId, user_id: member.userId });
        });
        this.#client.on(sdk.RoomEvent.Receipt, (event, room) => this.#onReceipt(event, room));
    }

    // -- rooms and messages ------------------------------------------------------------------------------------------

    async create_room({ name, invite, encrypted = true }) {
        const content = { algorithm: "m.megolm.v1.aes-sha2" };
        const initial_state = encrypted ? [{ type: "m.room.encryption", state_key: "", content }] : [];
        return (await this.#client.createRoom({ name, invite, initial_state })).room_id;
    }

    async invite({ room_id, user_id }) {
        await this.#client.invite(room_id, user_id);
    }

    async join({ room_id }) {
        await this.#client.joinRoom(room_id);
    }

    async wait_member({ room_id, user_id, encrypted = true }) {
        await until(async () => {
            const room = this.#client.getRoom(room_id);
            if (room?.getMyMembership() !== "join") return false;
            await room.loadMembersIfNeeded();
            if (room.getMember(user_id)?.membership !== "join") return false;
            return !encrypted || (await this.#client.getCrypto().isEncryptionEnabledInRoom(room_id));
        }, `${user_id} in ${room_id}`);
    }

    /** `thread` is the id of a thread's root; `mentions` are the users that are to be pinged. */
    async send({ room_id, body, thread = null, mentions = [] }) {
        const pinged = mentions.length ? { "m.mentions": { user_ids: mentions } } : {};
        if (thread) await opened(this.#client.getRoom(room_id), thread);
        return (await this.#client.sendMessage(room_id, thread, { msgtype: "m.text", body, ...pinged })).event_id;
    }

    async wait_message({ room_id, body }) {
        return this.#messages.wait((seen) => seen.room_id === room_id && seen.body === body, JSON.stringify(body));
    }

    async send_file({ room_id, name, data }) {
        const { ciphertext, file } = encryptAttachment(Buffer.from(data, "base64"));
        const uploaded = await this.#client.uploadContent(new Blob([ciphertext]), {
            type: "application/octet-stream",
            includeFilename: false,
        });
        const content = { msgtype: "m.file", body: name, file: { ...file, url: uploaded.content_uri } };
        return (await this.#client.sendMessage(room_id, content)).event_id;
    }

    async wait_file({ room_id, name }) {
        const seen = await this.#files.wait((seen) => seen.room_id === room_id && seen.name === name, name);
        const url = this.#client.mxcUrlToHttp(seen.file.url, undefined, undefined, undefined, false, true, true);
        const response = await fetch(url, { headers: { Authorization: `Bearer ${this.#client.getAccessToken()}` } });
        if (!response.ok) throw new Error(`${url} answered ${response.status}`);
        return decryptAttachment(Buffer.from(await response.arrayBuffer()), seen.file).toString("base64");
    }

    /** The text of an old event, fetched from the server and decrypted with the keys at hand. */
    async read_history({ room_id, event_id }) {
        const event = sdk.mapEvent
            ? sdk.mapEvent(await this.#client.fetchRoomEvent(room_id, event_id))
            : this.#client.getEventMapper()(await this.#client.fetchRoomEvent(room_id, event_id));
        await this.#client.decryptEventIfNeeded(event);
        if (event.isDecryptionFailure()) throw new Error(`undecryptable: ${event.decryptionFailureReason}`);
        return event.getContent().body;
    }

    /** The text of an old event as the room shows it, or null as long as it cannot be decrypted. */
    async can_read({ room_id, event_id }) {
        const event = this.#client.getRoom(room_id)?.findEventById(event_id);
        return event && !event.isDecryptionFailure() ? (event.getContent().body ?? null) : null;
    }

    #onEvent(event) {
        if (event.getType() !== "m.room.message" || event.isDecryptionFailure()) return;
        const content = event.getContent();
        const room_id = event.getRoomId();
        if (content.file) this.#files.put({ room_id, name: content.body, file: content.file });
        else
            this.#messages.put({
                room_id,
                event_id: event.getId(),
                sender: event.getSender(),
                body: content.body,
                encrypted: event.isEncrypted(),
            });
    }

    // -- typing and receipts -----------------------------------------------------------------------------------------

    async typing({ room_id, is_typing }) {
        await this.#client.sendTyping(room_id, is_typing, 20_000);
    }

    async wait_typing({ room_id, user_id }) {
        await this.#typing.wait((seen) => seen.room_id === room_id && seen.user_id === user_id, "typing");
    }

    /** Unthreaded, or for the event's own thread only. */
    async receipt({ room_id, event_id, threaded = false }) {
        const event = await until(() => this.#client.getRoom(room_id)?.findEventById(event_id), event_id);
        await this.#client.sendReadReceipt(event, "m.read", !threaded);
    }

    async wait_receipt({ room_id, event_id, user_id }) {
        const isWanted = (seen) => seen.room_id === room_id && seen.event_id === event_id && seen.user_id === user_id;
        await this.#receipts.wait(isWanted, `receipt of ${user_id}`);
    }

    #onReceipt(event, room) {
        for (const [event_id, kinds] of Object.entries(event.getContent()))
            for (const users of Object.values(kinds))
                for (const user_id of Object.keys(users)) this.#receipts.put({ room_id: room.roomId, event_id, user_id });
    }

    // -- room keys ---------------------------------------------------------------------------------------------------

    /** The next message in the room begins a new room key, which every device there must be given. */
    async discard_room_key({ room_id }) {
        await this.#client.getCrypto().forceDiscardSession(room_id);
    }

    /** The devices of a user that were sent something encrypted since this was last asked. */
    async devices_written_to({ user_id }) {
        return this.#network.takeDevicesWrittenTo(user_id);
    }

    // -- the network -------------------------------------------------------------------------------------------------

    async cut_network() {
        this.#network.cut();
    }

    async mend_network() {
        this.#network.mend();
        this.#client.retryImmediately();
    }

    /** Every kind of refusal so far, and how often. */
    async refused() {
        return Object.fromEntries(this.#network.refused);
    }

    async syncs_with_state_after() {
        return this.#network.stateAfter;
    }

    // -- verification ------------------------------------------------------------------------------------------------

    async start_sas({ user_id, device_id }) {
        await this.#verification.start(user_id, device_id);
    }

    /** The same by events in a room that both are in. */
    async start_sas_in_room({ user_id, room_id }) {
        await this.#verification.startInRoom(user_id, room_id);
    }

    /** Of a new device, with whichever other device of the same user answers. */
    async start_own_sas() {
        await this.#client.getCrypto().userHasCrossSigningKeys(this.#client.getUserId(), true);
        await this.#verification.startOwn();
    }

    async accept_sas({ user_id }) {
        await this.#verification.accept(user_id);
    }

    async sas_code({ user_id }) {
        return (await this.#verification.sas(user_id)).sas.decimal;
    }

    async confirm_sas({ user_id }) {
        await this.#verification.confirm(user_id);
    }

    async is_verified({ user_id, device_id }) {
        const status = await this.#client.getCrypto().getDeviceVerificationStatus(user_id, device_id);
        return status?.isVerified() ?? false;
    }

    /** Whether the private cross-signing keys and the key of the backup are on this device. */
    async has_secrets() {
        const crypto = this.#client.getCrypto();
        const { masterKey, selfSigningKey, userSigningKey } = (await crypto.getCrossSigningStatus())
            .privateKeysCachedLocally;
        const signs = masterKey && selfSigningKey && userSigningKey;
        return Boolean(signs && (await crypto.getSessionBackupPrivateKey()));
    }

    async has_cross_signing({ user_id }) {
        return this.#client.getCrypto().userHasCrossSigningKeys(user_id);
    }

    async is_user_verified({ user_id }) {
        return (await this.#client.getCrypto().getUserVerificationStatus(user_id)).isCrossSigningVerified();
    }

    /** Whether this client has heard of a device of somebody it shares an encrypted room with. */
    async knows_device({ user_id, device_id }) {
        return (await this.#client.getCrypto().getUserDeviceInfo([user_id])).get(user_id)?.has(device_id) ?? false;
    }

    // -- cross-signing and key backup --------------------------------------------------------------------------------

    /** New cross-signing keys and a key backup, their private parts in secret storage; the recovery key opens it. */
    async set_up_cross_signing({ password }) {
        const crypto = this.#client.getCrypto();
        const recovery = await crypto.createRecoveryKeyFromPassphrase();
        await crypto.bootstrapCrossSigning({
            authUploadDeviceSigningKeys: (makeRequest) => this.#withPassword(makeRequest, password),
        });
        await crypto.bootstrapSecretStorage({
            createSecretStorageKey: async () => recovery,
            setupNewSecretStorage: true,
            setupNewKeyBackup: true,
        });
        return { recovery_key: recovery.encodedPrivateKey, master_key: await crypto.getCrossSigningKeyId() };
    }

    /** A new identity in place of the old one, which nobody's trust goes over to. */
    async reset_cross_signing({ password }) {
        const crypto = this.#client.getCrypto();
        await crypto.bootstrapCrossSigning({
            setupNewCrossSigning: true,
            authUploadDeviceSigningKeys: (makeRequest) => this.#withPassword(makeRequest, password),
        });
        return { master_key: await crypto.getCrossSigningKeyId() };
    }

    /** The same for who signed in by OAuth: the answer is the page on which he agrees; `finish_reset_in_browser` goes on. */
    async reset_cross_signing_in_browser() {
        const reset = this.#client.getCrypto().bootstrapCrossSigning({
            setupNewCrossSigning: true,
            authUploadDeviceSigningKeys: async (makeRequest) => {
                const asked = await makeRequest(null).then(
                    () => undefined,
                    (error) => error.data,
                );
                if (!asked) throw new Error("nobody was asked");
                this.#askedInBrowser.put(asked.params["m.oauth"]);
                await until(() => this.#isApproved, "an agreement");
                await makeRequest({ session: asked.session });
            },
        });
        this.#reset = reset.then(() => this.#client.getCrypto().getCrossSigningKeyId());
        return this.#askedInBrowser.wait(() => true, "a question");
    }

    async finish_reset_in_browser() {
        this.#isApproved = true;
        return { master_key: await this.#reset };
    }

    /** A new device takes the cross-signing keys out of secret storage and signs itself. */
    async sign_in_with_recovery_key({ recovery_key }) {
        await this.#unlockStorage(recovery_key);
        const crypto = this.#client.getCrypto();
        // The private keys are only taken for the public ones that this device knows of.
        await crypto.userHasCrossSigningKeys(this.#client.getUserId(), true);
        await crypto.bootstrapCrossSigning({});
        await crypto.crossSignDevice(this.#client.getDeviceId());
    }

    async master_key({ user_id }) {
        const crypto = this.#client.getCrypto();
        if (user_id === this.#client.getUserId()) return crypto.getCrossSigningKeyId();
        await crypto.userHasCrossSigningKeys(user_id, true);
        const keys = await this.#client.downloadKeysForUsers([user_id]);
        return Object.values(keys.master_keys?.[user_id]?.keys ?? {})[0] ?? null;
    }

    async is_cross_signed({ user_id, device_id }) {
        const crypto = this.#client.getCrypto();
        await crypto.getUserDeviceInfo([user_id], true);
        return (await crypto.getDeviceVerificationStatus(user_id, device_id))?.signedByOwner ?? false;
    }

    async wait_backed_up({ count }) {
        return until(async () => {
            // The server is asked: the SDK's own view of the backup is that of when it was set up.
            const info = await this.#client.http.authedRequest(sdk.Method.Get, "/room_keys/version");
            return info.count >= count && info.count;
        }, `a backup of ${count} keys`);
    }

    async restore_backup({ recovery_key }) {
        await this.#unlockStorage(recovery_key);
        const crypto = this.#client.getCrypto();
        await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
        const { total, imported } = await crypto.restoreKeyBackup();
        return { total, imported };
    }

    async #unlockStorage(recoveryKey) {
        const keyId = await this.#client.secretStorage.getDefaultKeyId();
        this.#storageKeys.set(keyId, decodeRecoveryKey(recoveryKey));
    }

    #knownStorageKey(keyIds) {
        const keyId = keyIds.find((id) => this.#storageKeys.has(id));
        return keyId ? [keyId, this.#storageKeys.get(keyId)] : null;
    }

    /** Uploading signing keys may ask for the password (user-interactive authentication). */
    async #withPassword(makeRequest, password) {
        try {
            await makeRequest(null);
        } catch (error) {
            if (error.httpStatus !== 401 || !error.data?.flows) throw error;
            const identifier = { type: "m.id.user", user: this.#client.getUserId() };
            await makeRequest({ type: "m.login.password", identifier, password, session: error.data.session });
        }
    }
}

run(new JsDriver());
