// A certified OpenID provider (npm oidc-provider) with its own pages: whoever types a name is that person.
// node provider.mjs PORT BASE_URL_OF_THE_HOMESERVER
import Provider from "oidc-provider";

const [port, homeserver] = process.argv.slice(2);
const path = `${homeserver}/_voicechat/sign-in/provider/house`;

const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
        {
            client_id: "voicechat",
            client_secret: "what only the two know",
            redirect_uris: [`${path}/callback`],
            backchannel_logout_uri: `${path}/logout`,
            backchannel_logout_session_required: true,
            id_token_signed_response_alg: "RS256",
        },
    ],
    claims: {
        openid: ["sub"],
        profile: ["preferred_username", "name"],
        email: ["email", "email_verified"],
        groups: ["groups"],
    },
    scopes: ["openid", "profile", "email", "groups"],
    pkce: { required: () => true },
    features: { backchannelLogout: { enabled: true }, userinfo: { enabled: true } },
    // Its own refuses to speak to this machine.
    fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }),
    findAccount: (_, sub) => ({
        accountId: sub,
        claims: () => ({
            sub,
            preferred_username: sub,
            name: `${sub} of the house`,
            email: `${sub}@example.org`,
            email_verified: true,
            groups: ["/staff/Zürich", "everybody"],
        }),
    }),
});
provider.on("backchannel.error", (_, error) => console.error("backchannel", error));
provider.on("server_error", (_, error) => console.error("server", error));
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
