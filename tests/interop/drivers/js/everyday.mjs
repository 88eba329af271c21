// A day's clicks in Element Web: one call of the SDK for each thing that its screens ask of a server.

const DAY_MS = 86_400_000;

/** `everyday` clicks through everything and answers, by click, "ok" or what went wrong. */
export function everyday(client) {
    return {
        async everyday(scene) {
            const answers = {};
            for (const [name, click] of Object.entries(clicks(client, scene))) answers[name] = await outcome(click);
            return answers;
        },
    };
}

async function outcome(click) {
    try {
        await click();
        return "ok";
    } catch (error) {
        return `${error.httpStatus ?? ""} ${error.errcode ?? ""} ${error.message}`.trim();
    }
}

/** The scene: `room_id` and `event_id` of a room of ours, `other` a user in it, `alias` one that is free. */
function clicks(client, { room_id, event_id, other, alias }) {
    const me = client.getUserId();
    const [localpart] = alias.slice(1).split(":");
    return {
        // starting
        versions: () => client.getVersions(),
        capabilities: () => client.getCapabilities(),
        login_flows: () => client.loginFlows(),
        whoami: () => client.whoami(),
        media_config: () => client.getMediaConfig(true),
        voip_server: () => client.turnServer(),
        protocols: () => client.getThirdpartyProtocols(),
        push_rules: () => client.getPushRules(),
        pushers: () => client.getPushers(),
        // settings
        devices: () => client.getDevices(),
        rename_device: () => client.setDeviceDetails(client.getDeviceId(), { display_name: "Kitchen" }),
        third_party_ids: () => client.getThreePids(),
        display_name: () => client.setDisplayName("Alice of the Kitchen"),
        avatar: () => client.setAvatarUrl("mxc://interop.test/none"),
        profile: () => client.getProfileInfo(other),
        extended_profile: () => client.getExtendedProfile(other),
        time_zone: () => client.setExtendedProfileProperty("m.tz", "Europe/Berlin"),
        account_data: () => client.setAccountData("im.vector.web.settings", { theme: "dark" }),
        account_data_read: () => client.getAccountDataFromServer("im.vector.web.settings"),
        presence: () => client.setPresence({ presence: "online", status_msg: "baking" }),
        presence_of_other: () => client.getPresence(other),
        ignored: () => client.setIgnoredUsers([]),
        mute: () => client.setRoomMutePushRule("global", room_id, true),
        widget_token: () => client.getOpenIdToken(),
        // finding people and rooms
        people: () => client.searchUserDirectory({ term: "bob", limit: 5 }),
        public_rooms: () => client.publicRooms({ limit: 20, filter: { generic_search_term: "tea" } }),
        mutual_rooms: () => client._unstable_getSharedRooms(other),
        room_preview: () => client.getRoomSummary(room_id),
        space: () => client.getRoomHierarchy(room_id, 20),
        // a room
        history_of_edits: () => client.relations(room_id, event_id, "m.replace", null),
        jump_to_date: () => client.timestampToEvent(room_id, Date.now() - DAY_MS, "f"),
        search: () => client.searchRoomEvents({ term: "tea", filter: { rooms: [room_id] } }),
        link_preview: () => client.getUrlPreview("http://interop.test/", Date.now()),
        read_marker: () => client.setRoomReadMarkers(room_id, event_id),
        favourite: () => client.setRoomTag(room_id, "m.favourite", { order: 0.5 }),
        no_favourite: () => client.deleteRoomTag(room_id, "m.favourite"),
        add_alias: () => client.createAlias(alias, room_id),
        find_alias: () => client.getRoomIdForAlias(alias),
        aliases: () => client.getLocalAliases(room_id),
        publish: () => client.setRoomDirectoryVisibility(room_id, "public"),
        published: () => client.getRoomDirectoryVisibility(room_id),
        remove_alias: () => client.deleteAlias(alias),
        power: () => client.setPowerLevel(room_id, other, 50),
        report_event: () => client.reportEvent(room_id, event_id, -100, "too sweet"),
        report_room: () => client.reportRoom(room_id, "too sweet"),
        kick: () => client.kick(room_id, other, "too late"),
        ban: () => client.ban(room_id, other, "too loud"),
        unban: () => client.unban(room_id, other),
        upgrade: () => client.upgradeRoom(room_id, "11"),
        // leaving
        leave: async () => {
            const initial_state = [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } }];
            const made = await client.createRoom({ name: localpart, initial_state });
            await client.leave(made.room_id);
            await client.forget(made.room_id);
        },
        username: () => client.isUsernameAvailable(`free-${localpart}`),
        own_state: () => client.getStateEvent(room_id, "m.room.member", me),
    };
}
