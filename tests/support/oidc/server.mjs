// A real OpenID provider for tests: node server.mjs PORT REDIRECT_URI PEOPLE.json
// PEOPLE.json holds what is told of each person, by the name that they sign in with; it is read anew each time.
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const [port, redirect, people] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'syncline', client_secret: 'a secret+of:this&client', redirect_uris: [redirect] }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  cookies: { keys: ['of a test'] },
  async findAccount(_context, id) {
    return { accountId: id, claims: async () => ({ sub: id, ...JSON.parse(readFileSync(people, 'utf8'))[id] }) };
  },
});
provider.listen(port, '127.0.0.1', () => console.log('ready'));
