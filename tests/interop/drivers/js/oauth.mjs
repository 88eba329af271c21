// The SDK signs in by OAuth: in somebody's browser, or with a code that he types elsewhere.
import * as sdk from "matrix-js-sdk";
import { TokenRefresher } from "matrix-js-sdk/lib/oauth/tokenRefresher.js";

const CLIENT = { client_name: "js", client_uri: "https://client.example/", application_type: "native" };

export class OAuthSignIn {
    #homeserver;
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
