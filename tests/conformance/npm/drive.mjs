// Every method of the npm client's management, observability and federated catalogue controllers, against two connectors.
// Prints one JSON document: for each method what it answered. Exit code 1 when one failed or was never called.
import assert from "node:assert/strict";
import { EDC_CONTEXT, EdcConnectorClient, PolicyBuilder, SecretBuilder } from "@think-it-labs/edc-connector-client";

const { PROVIDER, CONSUMER, DSP, PROVIDER_ID, SOURCE, KEY } = process.env;
const results = new Map();
const connect = (base, key) =>
  new EdcConnectorClient.Builder()
    .apiToken(key)
    .managementUrl(`${base}/management`)
    .defaultUrl(`${base}/api`)
    .federatedCatalogUrl(`${base}/management`)
    .build();
const provider = connect(PROVIDER, KEY);
const consumer = connect(CONSUMER);

// --- what is called is written down ----------------------------------------------------------------------------------

const FAMILIES = [
  "assets", "policyDefinitions", "contractDefinitions", "catalog", "contractNegotiations", "contractAgreements",
  "transferProcesses", "edrs", "dataplanes", "secrets",
];
const methods = (controller) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(controller)).filter((name) => name !== "constructor");

function watched(family, controller) {
  const call = {};
  for (const name of methods(controller)) {
    const label = `${family}.${name}`;
    if (!results.has(label)) results.set(label, "never called");
    call[name] = async (...args) => {
      try {
        const answer = await controller[name](...args);
        results.set(label, "ok");
        return answer;
      } catch (error) {
        results.set(label, `failed: ${error.message}`);
        throw error;
      }
    };
  }
  return call;
}

const side = (client) => ({
  ...Object.fromEntries(FAMILIES.map((family) => [family, watched(family, client.management[family])])),
  observability: watched("observability", client.observability),
  federatedCatalog: watched("federatedCatalog", client.federatedCatalog),
});
const p = side(provider);
const c = side(consumer);

async function until(what, wanted, ask) {
  for (let tries = 0; tries < 400; tries += 1) {
    const found = await ask();
    if (found === wanted) return;
    assert.ok(found !== "TERMINATED" || wanted === found, `${what} is TERMINATED`);
    await new Promise((done) => setTimeout(done, 25));
  }
  assert.fail(`${what} never became ${wanted}`);
}

const only = (id) => ({ filterExpression: [{ operandLeft: `${EDC_CONTEXT}id`, operator: "=", operandRight: id }] });
const USE = { "@context": "http://www.w3.org/ns/odrl.jsonld", permission: [{ action: "use" }] };

// --- the story -------------------------------------------------------------------------------------------------------

async function publish() {
  const asset = {
    "@id": "npm-asset",
    properties: { name: "from npm", [`${EDC_CONTEXT}topic`]: "hearts" },
    privateProperties: { shelf: "3" },
    dataAddress: { type: "HttpData", baseUrl: SOURCE },
  };
  const made = await p.assets.create(asset);
  assert.equal(made.id, "npm-asset");
  assert.ok(made.createdAt > 0);
  const found = await p.assets.get("npm-asset");
  assert.equal(found.properties.optionalValue("edc", "name"), "from npm");
  assert.equal(found.privateProperties.optionalValue("edc", "shelf"), "3");
  assert.equal(found.dataAddress.optionalValue("edc", "baseUrl"), SOURCE);
  await p.assets.update({ ...asset, properties: { ...asset.properties, name: "renamed" } });
  const [renamed] = await p.assets.queryAll(only("npm-asset"));
  assert.equal(renamed.properties.optionalValue("edc", "name"), "renamed");
  await assert.rejects(p.assets.create(asset), { type: "Duplicate" });
  results.set("assets.create", "ok");

  const policy = new PolicyBuilder().type("Set").raw(USE).build();
  const { id: policyId } = await p.policyDefinitions.create({ "@id": "npm-policy", policy });
  assert.equal((await p.policyDefinitions.get(policyId)).policy.permissions.length, 1);
  await p.policyDefinitions.update(policyId, { "@id": policyId, policy });
  assert.ok((await p.policyDefinitions.queryAll({ limit: 100 })).some((one) => one.id === policyId));

  const definition = {
    "@id": "npm-definition", accessPolicyId: policyId, contractPolicyId: policyId,
    assetsSelector: only("npm-asset").filterExpression,
  };
  const { id: definitionId } = await p.contractDefinitions.create(definition);
  const shown = await p.contractDefinitions.get(definitionId);
  assert.equal(shown.accessPolicyId, policyId);
  assert.equal(shown.assetsSelector.length, 1);
  await p.contractDefinitions.update(definition);
  assert.equal((await p.contractDefinitions.queryAll({ limit: 100 })).filter((one) => one.id === definitionId).length, 1);
}

async function negotiate() {
  const where = { counterPartyAddress: DSP, counterPartyId: PROVIDER_ID };
  for (const ask of ["request", "queryAll"]) {
    const catalog = await c.catalog[ask]({ ...where, querySpec: only("npm-asset") });
    assert.equal(catalog.participantId, PROVIDER_ID);
    assert.deepEqual(catalog.datasets.map((one) => one.id), ["npm-asset"]);
  }
  const dataset = await c.catalog.requestDataset({ ...where, "@id": "npm-asset" });
  const [offer] = dataset.offers;
  const policy = { "@context": "http://www.w3.org/ns/odrl.jsonld", ...offer, assigner: PROVIDER_ID, target: "npm-asset" };
  const { id } = await c.contractNegotiations.initiate({ ...where, policy });
  await until("negotiation", "FINALIZED", async () => (await c.contractNegotiations.getState(id)).state);
  const negotiation = await c.contractNegotiations.get(id);
  assert.equal(negotiation.state, "FINALIZED");
  assert.ok((await c.contractNegotiations.queryAll()).some((one) => one.id === id));
  const agreement = await c.contractNegotiations.getAgreement(id);
  assert.equal(agreement.id, negotiation.contractAgreementId);
  assert.equal(agreement.assetId, "npm-asset");
  assert.equal(agreement.policy.permissions.length, 1);
  assert.equal((await c.contractAgreements.get(agreement.id)).providerId, PROVIDER_ID);
  assert.equal((await c.contractAgreements.getNegotiation(agreement.id)).id, id);
  assert.deepEqual((await c.contractAgreements.queryAll()).map((one) => one.id), [agreement.id]);

  const dead = { ...where, counterPartyAddress: "http://127.0.0.1:9/dsp/2025-1" };
  const lost = await c.contractNegotiations.initiate({ ...dead, policy });
  await c.contractNegotiations.terminate(lost.id, "nobody answers");
  assert.equal((await c.contractNegotiations.get(lost.id)).state, "TERMINATED");
  return agreement.id;
}

async function transfer(contractId) {
  const input = { contractId, transferType: "HttpData-PULL", counterPartyAddress: DSP, assetId: "npm-asset" };
  const { id } = await c.transferProcesses.initiate(input);
  await until("transfer", "STARTED", async () => (await c.transferProcesses.getState(id)).state);
  const process_ = await c.transferProcesses.get(id);
  assert.deepEqual([process_.type, process_.contractId, process_.assetId], ["CONSUMER", contractId, "npm-asset"]);
  assert.ok((await c.transferProcesses.queryAll()).some((one) => one.id === id));

  const [edr] = await c.edrs.request();
  assert.deepEqual([edr.transferProcessId, edr.agreementId, edr.providerId], [id, contractId, PROVIDER_ID]);
  const address = await c.edrs.dataAddress(edr.transferProcessId);
  const headers = { Authorization: address.mandatoryValue("edc", "authorization") };
  const pulled = await fetch(address.mandatoryValue("edc", "endpoint"), { headers });
  assert.equal(await pulled.text(), await (await fetch(SOURCE)).text());

  await c.edrs.delete(id);
  assert.equal((await c.edrs.request()).length, 0);
  await c.transferProcesses.deprovision(id);
  await c.transferProcesses.terminate(id, "done");
  await until("transfer", "TERMINATED", async () => (await c.transferProcesses.getState(id)).state);
}

async function therest() {
  const [plane] = await p.dataplanes.list();
  assert.ok(plane.url.startsWith("http") && plane.allowedTransferTypes.includes("HttpData-PULL"));
  assert.ok(plane.allowedSourceTypes.includes("HttpData"));

  const secret = new SecretBuilder().id("npm-secret").value("one").build();
  assert.equal((await p.secrets.create(secret))["@id"], "npm-secret"); // the client does not expand this answer
  await p.secrets.update(new SecretBuilder().id("npm-secret").value("two").build());
  assert.equal((await p.secrets.get("npm-secret")).value, "two");
  await p.secrets.delete("npm-secret");
  await assert.rejects(p.secrets.get("npm-secret"), { type: "NotFound" });
  results.set("secrets.get", "ok");

  for (const check of ["checkHealth", "checkLiveness", "checkReadiness", "checkStartup"]) {
    const status = await p.observability[check]();
    assert.equal(status.isSystemHealthy, true);
    assert.ok(status.componentResults.every((one) => one.isHealthy && one.component));
  }

  const seen = async () => (await c.federatedCatalog.queryAll()).flatMap((one) => one.datasets.map((set) => set.id));
  await until("federated catalogue", true, async () => (await seen()).includes("npm-asset"));
  const asked = { filterExpression: [{ operandLeft: "participantId", operator: "=", operandRight: PROVIDER_ID }] };
  assert.equal((await c.federatedCatalog.queryAll(asked)).length, 1);
}

async function unpublish() {
  await assert.rejects(p.assets.delete("npm-asset"), { type: "Duplicate" }); // 409: an agreement refers to it
  await p.assets.create({ "@id": "npm-other", properties: {}, dataAddress: { type: "HttpData", baseUrl: SOURCE } });
  await p.assets.delete("npm-other");
  await p.contractDefinitions.delete("npm-definition");
  await p.policyDefinitions.delete("npm-policy");
}

try {
  await publish();
  await transfer(await negotiate());
  await therest();
  await unpublish();
} catch (error) {
  results.set("story", `failed: ${error.stack}`);
}
console.log(JSON.stringify({ client: EdcConnectorClient.version(), methods: Object.fromEntries(results) }));
process.exitCode = [...results.values()].every((word) => word === "ok") ? 0 : 1;
