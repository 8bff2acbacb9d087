// Asks Baton through the official OpenAI client for Node, and prints what came of it:
//   NODE_PATH=… node ask.cjs BASE_URL ask|leave
// One JSON document on stdout.
const OpenAI = require('openai');

const messages = [{ role: 'user', content: 'What is the value of (3 + 4) * 5?' }];

async function refused(call) {
  try {
    await call();
  } catch (error) {
    const { status, code, param, type } = error;
    return { name: error.constructor.name, status, code, param, type, request: error.requestID };
  }
  return null;
}

async function streamed(client) {
  const stream = await client.chat.completions.create({
    model: 'baton',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return chunks;
}

// Begins to read a stream and goes; the run that wrote it.
async function leave(client) {
  const request = { model: 'baton/direct', messages, stream: true };
  const { data, response } = await client.chat.completions.create(request).withResponse();
  for await (const _chunk of data) {
    // Leaving the loop closes the connection.
    break;
  }
  return response.headers.get('x-request-id');
}

async function ask(client) {
  const chat = client.chat.completions;
  const models = [];
  for await (const model of client.models.list()) {
    models.push(model.id);
  }
  const whole = await chat.create({ model: 'baton', messages });
  const asked = { baton: { strategy: 'reflect', budget: { usd: 0.05 } } };
  return {
    models,
    whole: { ...whole, request: whole._request_id },
    reflect: await chat.create({ model: 'baton', messages, ...asked }),
    agent: await chat.create({ model: 'sim-sage', messages }),
    chunks: await streamed(client),
    together: await chat.stream({ model: 'baton', messages }).finalChatCompletion(),
    unknown: await refused(() => chat.create({ model: 'gpt-0', messages })),
    wrong: await refused(() => chat.create({ model: 'baton', messages: [] })),
  };
}

const [url, what] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
({ ask, leave })[what](client).then((told) => console.log(JSON.stringify(told)));
