import { Component, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { GraphiQLProvider, Tooltip, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { DOC_EXPLORER_PLUGIN, DocExplorerStore } from "@graphiql/plugin-doc-explorer";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN, HistoryStore } from "@graphiql/plugin-history";
import { GraphiQLInterface } from "graphiql";
import { Bar, isOrganization } from "./bar.jsx";
import { config } from "./config.js";
import { complaint, createFetcher } from "./gateway.js";
import { isLinked, readLink, writeLink } from "./link.js";
import { createStorage, useSession } from "./storage.js";
import "./explorer.css";

globalThis.MonacoEnvironment = {
  getWorker: (_id, label) =>
    new Worker(config.workers[label] ?? config.workers.editor, { type: "module", name: label }),
};

const PLUGINS = [DOC_EXPLORER_PLUGIN, HISTORY_PLUGIN, explorerPlugin()];
const storage = createStorage();

const asText = (variables) => (Object.keys(variables).length ? JSON.stringify(variables, null, 2) : "");

/** What the page opens with: the link's question, else what this browser had open, else the first ready question. */
function opening() {
  const link = readLink();
  if (link) {
    return { initialQuery: link.query, initialVariables: link.variables };
  }
  const [first] = config.gallery;
  if (first && !storage?.getItem("graphiql:tabState")) {
    return { initialQuery: first.query, initialVariables: asText(first.variables) };
  }
  return {};
}

function Explorer() {
  const [apiKey, setApiKey] = useSession("key", config.apiKey);
  const [organization, setOrganization] = useSession("organization", config.organization);
  const [status, setStatus] = useState(200);
  const [start] = useState(opening);
  const sent = isOrganization(organization) ? organization : "";
  // GraphiQL fetches the schema again whenever its fetcher is another one, hence after a change of the key.
  const fetcher = useMemo(
    () => createFetcher({ url: config.endpoint, apiKey, organization: sent, onAnswer: setStatus }),
    [apiKey, sent],
  );
  const notice = isOrganization(organization)
    ? complaint(status, apiKey)
    : "An organization id is a UUID. Until it is one, it is not sent.";
  return (
    <GraphiQLProvider
      {...start}
      fetcher={fetcher}
      plugins={PLUGINS}
      referencePlugin={DOC_EXPLORER_PLUGIN}
      storage={storage}
      shouldPersistHeaders={false}
      inputValueDeprecation
      schemaDescription
    >
      <HistoryStore>
        <DocExplorerStore>
          <Workbench bar={{ apiKey, onApiKey: setApiKey, organization, onOrganization: setOrganization, notice }} />
        </DocExplorerStore>
      </HistoryStore>
    </GraphiQLProvider>
  );
}

function Workbench({ bar }) {
  const { addTab, setOperationName, updateActiveTabValues } = useGraphiQLActions();
  const { queryEditor, variableEditor, operations, operationName, tab } = useGraphiQL((state) => ({
    queryEditor: state.queryEditor,
    variableEditor: state.variableEditor,
    operations: state.operations,
    operationName: state.operationName,
    tab: state.tabs[state.activeTabIndex],
  }));
  const wanted = useRef(readLink()?.operationName);

  const open = useCallback(
    (question) => {
      if (queryEditor.getValue().trim()) {
        addTab();
      }
      wanted.current = question.operationName;
      queryEditor.setValue(question.query);
      variableEditor.setValue(question.variables);
      updateActiveTabValues({ query: question.query, variables: question.variables });
      queryEditor.focus();
    },
    [addTab, updateActiveTabValues, queryEditor, variableEditor],
  );

  useEffect(() => {
    const follow = () => {
      const link = readLink();
      if (link && queryEditor) {
        open(link);
      }
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, [open, queryEditor]);

  // A link may name one of several operations: choose it as soon as the editor has parsed them.
  useEffect(() => {
    if (wanted.current && operations?.some(({ name }) => name?.value === wanted.current)) {
      setOperationName(wanted.current);
      wanted.current = null;
    }
  }, [operations, setOperationName]);

  // Once the question is edited or another tab is chosen, the address would no longer tell the truth.
  useEffect(() => {
    const link = readLink();
    if (link && tab && !isLinked(link, tab)) {
      history.replaceState(null, "", location.pathname + location.search);
    }
  }, [tab]);

  async function share() {
    const query = queryEditor.getValue();
    const variables = variableEditor.getValue();
    const several = operations?.length > 1;
    history.replaceState(null, "", writeLink({ query, variables, operationName: several ? operationName : null }));
    try {
      await navigator.clipboard.writeText(location.href);
      return true;
    } catch {
      return false; // No clipboard without HTTPS or the user's permission; the address bar has the link.
    }
  }

  return (
    <Tooltip.Provider>
      <Bar
        {...bar}
        onQuestion={({ query, variables }) => open({ query, variables: asText(variables) })}
        onShare={share}
      />
      <GraphiQLInterface defaultEditorToolsVisibility="variables" showPersistHeadersSettings={false} />
    </Tooltip.Provider>
  );
}

/** Says that the page failed and how to go on, where React would leave it blank. */
class Boundary extends Component {
  state = { error: null };

  static getDerivedStateFromError(error) {
    return { error };
  }

  render() {
    return this.state.error ? (
      <p className="explorer-failure" role="alert">
        The explorer failed: {String(this.state.error.message ?? this.state.error)}. Reload the page; if it fails again,
        clear this site's data.
      </p>
    ) : (
      this.props.children
    );
  }
}

createRoot(document.getElementById("explorer")).render(
  <Boundary>
    <Explorer />
  </Boundary>,
);
