"""The AgentMail-compatible face of the mailbox: `/v0/…`, an endpoint a line.

How to add a family of endpoints, say drafts:

1. `mailroom/forms.py` has what may be asked (bodies and queries, pydantic), `mailroom/wire.py` what is answered (shapes as
   TypedDicts, and one function a record: `wire.draft(…)`). What is missing goes there, and nowhere else.
2. `mailroom/api/drafts.py` holds plain functions, which run in a thread:

       def get(asked: Asked) -> wire.Draft:
           with reading(asked) as ledger:
               return wire.draft(draft_of(asked, ledger))

   `asked.id("draft_id")` is a name from the path, `asked.body` and `asked.query` are instances of the models in the table,
   `asked.once` is the Idempotency-Key with what it is good for, `asked.counter` what a letter is posted with, `asked.caller` who
   asks. `inbox_of`, `pod_of` and `where` read the scope from the path and raise NotFound when it is not the caller's. What cannot be done is raised as an
   error of `engine/errors.py`; `mailroom/api/refusals.py` knows how AgentMail says it.
3. Its table, `ENDPOINTS`, says method, path, permission, body, query, answer. Routing and /openapi.json both come from it.
   `everywhere(…)` makes one line three: for the organisation, a pod, an inbox.
4. `mailroom/api/table.py` lists the families. `mailroom/api/inboxes.py` is the one to copy from.

A list: `with reading(asked) as ledger: return asked.listed(wire.Drafts, ledger.written.page_of(…, asked.part()), wire.draft_item)`.
`asked.part()` reads `limit`, `page_token` and `ascending`, and `listed` seals the next token, which is good for this list only.

Another dialect (its own paths, errors and keys) is another `Dialect` (`mailroom/api/door.py`), mounted beside this one in
`relent/web.py`; its document is merged into /openapi.json by `mailroom/api/openapi.py`.
"""
