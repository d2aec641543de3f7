import { createApp } from "vue";
import { tandem } from "@tandem-auth/browser/vue";
import App from "./App.vue";
import { auth } from "./auth";

createApp(App).use(tandem(auth)).mount("#app");
