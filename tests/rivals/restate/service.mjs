// Three steps, or as many as are asked for, as a Restate service, over HTTP. Each step calls the model at MODEL_URL once
// and sees what the steps before it said; its result is in Restate's log (a write-ahead
// log that is synced, as its server does by default) before the next step begins.
import * as restate from "@restatedev/restate-sdk";

// The SDK needs it, and Node has it from version 22 on.
Promise.withResolvers ??= () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const url = `${process.env.MODEL_URL}/chat/completions`;

async function call(name, said) {
  const content = [...said, `Your part: ${name}.`].join("\n\n");
  const reply = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim-null", messages: [{ role: "user", content }] }),
  });
  if (!reply.ok) throw new Error(`the model answers ${reply.status}`);
  return (await reply.json()).choices[0].message.content;
}

const names = ["plan", "execute", "verify"];

const team = restate.service({
  name: "team",
  handlers: {
    run: async (ctx, { question, steps = names.length }) => {
      const said = [question];
      for (let step = 0; step < steps; step++) {
        const name = names[step % names.length];
        said.push(await ctx.run(name, () => call(name, said)));
      }
      return { answer: said.at(-1) };
    },
  },
});

restate.serve({ services: [team], port: Number(process.env.PORT) });
