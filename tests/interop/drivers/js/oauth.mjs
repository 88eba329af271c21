// The SDK signs in by OAuth: in somebody's browser, or with a code that he types elsewhere.
import { QrCodeData } from "@matrix-org/matrix-sdk-crypto-wasm";
import * as sdk from "matrix-js-sdk";
import { MSC4108SecureChannel } from "matrix-js-sdk/lib/rendezvous/channels/index.js";
import { MSC4108SignInWithQR } from "matrix-js-sdk/lib/rendezvous/MSC4108SignInWithQR.js";
import { MSC4108RendezvousSession } from "matrix-js-sdk/lib/rendezvous/transports/index.js";
import { TokenRefresher } from "matrix-js-sdk/lib/oauth/tokenRefresher.js";

const CLIENT = { client_name: "js", client_uri: "https://client.example/", application_type: "native" };

export class OAuthSignIn {
    #homeserver;
    #meeting;
    #oauth;
    #redirectUri;
    #session;
    #tokens;

    /** The address at which somebody agrees; `redirect_uri` is where he comes back with a code. */
    async begin({ homeserver, redirect_uri }) {
        // A loopback address is registered without its port (RFC 8252, 7.3).
        await this.#register(homeserver, redirect_uri.replace(/:\d+/, ""));
        this.#redirectUri = redirect_uri;
        return { url: await this.#oauth.generateAuthorizationCodeGrantUrl("a state of ours", redirect_uri, "query") };
    }

    async finish({ code }) {
        return this.#signedIn(await this.#oauth.completeAuthorizationCodeGrant(code, this.#redirectUri));
    }

    async beginWithCode({ homeserver }) {
        await this.#register(homeserver, "http://127.0.0.1/unused");
        this.#session = await this.#oauth.startDeviceAuthorizationGrant();
        return this.#session;
    }

    async finishWithCode() {
        return this.#signedIn(await this.#oauth.waitForDeviceAuthorizationGrant(this.#session));
    }

    // -- with a QR code (MSC4108): a device that is signed in shows it, a new one scans it

    /** Bytes of the code, base64. */
    async show({ client }) {
        const session = new MSC4108RendezvousSession({ client });
        await session.send("");
        this.#meeting = new MSC4108SignInWithQR(new MSC4108SecureChannel(session), false, client);
        await this.#meeting.generateCode();
        return Buffer.from(this.#meeting.code).toString("base64");
    }

    /** The page on which its owner agrees. */
    async page() {
        await this.#meeting.negotiateProtocols();
        const { verificationUri } = await this.#meeting.deviceAuthorizationGrant();
        return { url: verificationUri, check_code: this.#meeting.checkCode };
    }

    async share() {
        await this.#meeting.shareSecrets();
    }

    async scan({ homeserver, code }) {
        const seen = QrCodeData.fromBytes(Buffer.from(code, "base64"));
        const { intentData } = seen;
        const url = seen.rendezvousUrl ?? intentData.rendezvousUrl ?? intentData.rendezvous_url;
        const channel = new MSC4108SecureChannel(new MSC4108RendezvousSession({ url }), seen.publicKey);
        this.#meeting = new MSC4108SignInWithQR(channel, true);
        await this.#register(homeserver, "http://127.0.0.1/unused");
        await this.#meeting.negotiateProtocols();
        const { metadata, context } = this.#oauth;
        const { userCode } = await this.#meeting.deviceAuthorizationGrant({ metadata, ...context });
        return { user_code: userCode, check_code: this.#meeting.checkCode };
    }

    /** The session, and the secrets that the other device shares. */
    async finishScanned() {
        const { clientId } = this.#oauth.context;
        const session = await this.#signedIn(await this.#meeting.completeLoginOnNewDevice({ clientId }));
        const { secrets } = await this.#meeting.shareSecrets();
        await this.#meeting.close();
        return { session, secrets };
    }

    /** With the refresh token that the client has, or with the `nth` one it had. */
    async refresh({ nth = this.#tokens.length - 1 }) {
        const tokens = await this.#refresher().refreshTokens(this.#tokens[nth]);
        return { access_token: tokens.accessToken };
    }

    async revoke({ access_token }) {
        await this.#oauth.revokeToken(access_token, "access_token");
    }

    async #register(homeserver, redirectUri) {
        this.#homeserver = homeserver;
        const metadata = await sdk.createClient({ baseUrl: homeserver }).getAuthMetadata();
        const clientId = await sdk.OAuth2.registerClient(metadata, { ...CLIENT, redirect_uris: [redirectUri] });
        this.#oauth = new sdk.OAuth2(metadata, { clientId });
    }

    #refresher() {
        return new TokenRefresher(this.#oauth, ({ refreshToken }) => void this.#tokens.push(refreshToken));
    }

    async #signedIn({ access_token, refresh_token, error }) {
        if (error) throw new Error(error);
        this.#tokens = [refresh_token];
        const refresher = this.#refresher();
        const client = sdk.createClient({ baseUrl: this.#homeserver, accessToken: access_token });
        const session = { ...(await client.whoami()), access_token, refreshToken: refresh_token };
        return { ...session, tokenRefreshFunction: (token) => refresher.refreshTokens(token) };
    }
}
