// What tabs tell each other: that one has written to the store, and in cookie mode,
// where the store has no tokens, the access token.

// { pair } tells of a pair; in bearer mode {} tells others to read the store. { wanted }
// asks for the access token of a pair by its ID.
export interface Message {
  id?: string;
  accessToken?: string;
  wanted?: string;
}

export interface Channel {
  post_(message: Message): void;
  close_(): void;
}

// openChannel calls back with what other tabs say. Where there is no BroadcastChannel,
// the event of the mirror in localStorage has to do.
export function openChannel(key: string, onMessage: (message: Message) => void): Channel {
  let channel: BroadcastChannel | undefined;
  try {
    channel = new BroadcastChannel(key);
    channel.onmessage = (event) => onMessage(event.data);
  } catch {
    // There is none.
  }
  return {
    post_: (message) => channel && channel.postMessage(message),
    close_: () => channel && channel.close(),
  };
}
