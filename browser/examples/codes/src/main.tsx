import { type FormEvent, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { AuthProvider, useAuth } from "@tandem-auth/browser/react";
import { auth } from "./auth";

function App() {
  const { state, isSignedIn } = useAuth();
  return isSignedIn ? <Account key={state.username} /> : <SignIn reason={state.endedReason} />;
}

function Account() {
  const { auth } = useAuth();
  const [isOpen, setOpen] = useState(false);
  const [message, setMessage] = useState("");

  // Two parts of the page ask at the same moment. One is closed while both wait.
  async function ask() {
    setMessage("");
    setOpen(true);
    try {
      const response = await auth.fetch("/coded/api/me");
      setMessage("You are " + (await response.json()).data.username);
    } catch {
      setMessage("Please try again in a moment.");
    } finally {
      setOpen(false);
    }
  }
  return (
    <main>
      <button id="ask" onClick={ask}>Who am I?</button>
      <button id="close" onClick={() => setOpen(false)}>Close the panel</button>
      {isOpen && <Panel />}
      <p id="message" role="status">{message}</p>
    </main>
  );
}

// The panel's request ends with the panel. The refresh that it waited for goes on, for it
// is not the panel's alone.
function Panel() {
  const { auth } = useAuth();
  useEffect(() => {
    const leave = new AbortController();
    auth.fetch("/coded/api/me", { signal: leave.signal }).catch(() => {});
    return () => leave.abort();
  }, [auth]);
  return <section id="panel">…</section>;
}

function SignIn({ reason = "" }) {
  const { auth } = useAuth();
  const [message, setMessage] = useState(reason);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    try {
      await auth.signIn({ username: String(fields.get("username")), password: String(fields.get("password")) });
    } catch (error: any) {
      setMessage(error.code);
    }
  }
  return (
    <form onSubmit={submit}>
      <input name="username" autoComplete="username" aria-label="Name" />
      <input name="password" autoComplete="current-password" type="password" aria-label="Password" />
      <button>Sign in</button>
      <p id="message" role="status">{message}</p>
    </form>
  );
}

createRoot(document.querySelector("#app")!).render(<AuthProvider auth={auth}><App /></AuthProvider>);
