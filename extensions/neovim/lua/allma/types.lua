---@meta
-- What travels between Neovim and the server.
-- Written by `python -m extensions.generate` from the server's operations and its model.

---@class allma.FileReason
---@field path string
---@field reason string

---@class allma.ForgetReport
---@field path string
---@field documents integer
---@field chunks integer
---@field workspaceRemoved boolean
---@field notice? string

---@class allma.IngestReport
---@field indexed integer
---@field updated integer
---@field unchanged integer
---@field removed integer
---@field skipped allma.FileReason[]
---@field failed allma.FileReason[]
---@field chunks integer
---@field seconds number
---@field notice? string

---@class allma.Job
---@field id string
---@field kind string
---@field state "queued"|"running"|"done"|"failed"|"cancelled"
---@field path string
---@field done integer
---@field total? integer
---@field message string
---@field createdAt string
---@field report? allma.IngestReport

---@class allma.ModelInfo
---@field name string
---@field size? integer
---@field parameters? string
---@field quantization? string
---@field contextLength? integer
---@field capabilities string[]
---@field modifiedAt? string
---@field inUse boolean

---@class allma.ModelList
---@field models allma.ModelInfo[]
---@field inUse? string
---@field provider string

---@class allma.Answer
---@field text string
---@field citations allma.Citation[]
---@field conversationId string
---@field messageId string
---@field model? string
---@field mode "generated"|"passages_only"
---@field stats allma.AnswerStats
---@field notice? string
---@field grounding "cited"|"uncited"|"declined"|"none"|"cut_off"
---@field noticeCode? "indexing"|"nothing_indexed"|"no_match_for_path"|"embedder_unavailable"

---@class allma.AnswerStats
---@field retrievalMs integer
---@field firstTokenMs? integer
---@field totalMs integer
---@field promptTokens? integer
---@field answerTokens? integer
---@field truncated boolean

---@class allma.Citation
---@field number integer
---@field passage allma.Passage
---@field cited boolean

---@class allma.Conversation
---@field id string
---@field title string
---@field createdAt string
---@field updatedAt string
---@field messageCount integer
---@field messages allma.Message[]

---@class allma.ConversationPage
---@field conversations allma.Conversation[]
---@field total integer
---@field nextCursor? string

---@class allma.Export
---@field title string
---@field markdown string

---@class allma.Message
---@field id string
---@field role "user"|"assistant"|"system"
---@field content string
---@field model? string
---@field createdAt string
---@field sources allma.MessageSource[]
---@field grounding? "cited"|"uncited"|"declined"|"none"|"cut_off"

---@class allma.MessageSource
---@field number integer
---@field documentId integer
---@field chunkId integer
---@field relevanceScore number
---@field path string
---@field startLine integer
---@field endLine integer
---@field page? integer
---@field heading string[]
---@field text string

---@class allma.DocumentPage
---@field documents allma.DocumentRow[]
---@field total integer
---@field nextCursor? string

---@class allma.DocumentRow
---@field id integer
---@field path string
---@field workspace string
---@field format string
---@field state "indexed"|"skipped"|"failed"
---@field reason? string
---@field title string
---@field size integer
---@field chunks integer
---@field indexedAt string
---@field uri string

---@class allma.Excerpt
---@field path string
---@field text string
---@field startLine integer
---@field endLine integer
---@field totalLines integer
---@field uri string
---@field source "disk"|"index"

---@class allma.Evaluation
---@field questions integer
---@field topK integer
---@field stages allma.StageScores[]
---@field ranks allma.QuestionRank[]
---@field settings table<string, string>
---@field searchMs integer
---@field before? allma.Evaluation
---@field better integer
---@field worse integer
---@field notice? string

---@class allma.QuestionRank
---@field question string
---@field rank? integer

---@class allma.StageScores
---@field stage string
---@field first number
---@field hit number
---@field mrr number
---@field ndcg number

---@class allma.Candidate
---@field passage allma.Passage
---@field dense? allma.RankedScore
---@field lexical? allma.RankedScore
---@field fused allma.RankedScore
---@field rescored? allma.RankedScore
---@field reranked? allma.RankedScore
---@field outcome "shown"|"joined"|"repeats"|"overlaps"|"below_threshold"|"over_limit"|"not_rescored"
---@field other? integer

---@class allma.Explanation
---@field query string
---@field terms string[]
---@field phrases string[]
---@field stopWords string[]
---@field candidates allma.Candidate[]
---@field reranker? string
---@field notice? string
---@field retrievalMs integer
---@field noticeCode? "indexing"|"nothing_indexed"|"no_match_for_path"|"embedder_unavailable"

---@class allma.Passage
---@field path string
---@field workspace string
---@field documentId integer
---@field chunkId integer
---@field chunkIndex integer
---@field text string
---@field score number
---@field startLine integer
---@field endLine integer
---@field page? integer
---@field heading string[]
---@field uri string
---@field stale boolean
---@field suspicious boolean

---@class allma.RankedScore
---@field rank integer
---@field score number

---@class allma.SearchResult
---@field passages allma.Passage[]
---@field notice? string
---@field retrievalMs integer
---@field noticeCode? "indexing"|"nothing_indexed"|"no_match_for_path"|"embedder_unavailable"

---@class allma.Check
---@field name string
---@field state "ok"|"warning"|"failed"
---@field detail string
---@field nextStep? string

---@class allma.Diagnosis
---@field healthy boolean
---@field checks allma.Check[]

---@class allma.Done
---@field message string

---@class allma.EmbedderStatus
---@field name? string
---@field dimensions? integer
---@field wanted? string
---@field reason? string

---@class allma.OllamaStatus
---@field url string
---@field reachable boolean
---@field version? string
---@field reason? string
---@field provider string
---@field reasonCode? string

---@class allma.Status
---@field version string
---@field dataDir string
---@field embedder allma.EmbedderStatus
---@field chatModel? string
---@field ollama allma.OllamaStatus
---@field vectors allma.VectorStatus
---@field workspaces allma.WorkspaceStatus[]
---@field jobs allma.Job[]
---@field clients integer
---@field pid integer

---@class allma.VectorStatus
---@field store string
---@field state string
---@field pending integer
---@field reason? string

---@class allma.WorkspaceStatus
---@field path string
---@field documents integer
---@field chunks integer
---@field pending integer
---@field failed integer
---@field skipped integer
---@field watching boolean
---@field notice? string
---@field approved boolean
---@field done? integer
---@field total? integer
---@field reason? string

---@class allma.AnswerStarted
---@field kind "started"
---@field conversationId string
---@field messageId string

---@class allma.AnswerChunk
---@field kind "chunk"
---@field seq integer
---@field text string

---@class allma.AnswerSources
---@field kind "sources"
---@field citations allma.Citation[]

---@class allma.SearchParams
---@field query string Words, a question or a symbol.
---@field topK? integer Maximum number of passages (default 5).
---@field path? string Only files that match this glob, such as src/**/*.py.
---@field workspace? string Only this workspace folder; `all` for every one.

---@class allma.ExplainParams
---@field query string The query, as it is searched for.
---@field topK? integer How many passages (default 5).
---@field path? string Only files that match this glob, such as src/**/*.py.
---@field workspace? string Only this workspace folder; `all` for every one.

---@class allma.EvalParams
---@field questions string A file of JSON lines or CSV: `question`, and the `path`, `text` or `lines` to be found.
---@field generate? integer Have the chat model write so many questions about the indexed documents into that file, which must be a new one.
---@field topK? integer How many passages of a search are looked at.
---@field path? string Only files that match this glob, such as src/**/*.py.
---@field workspace? string Only this workspace folder; `all` for every one.
---@field against? string An earlier result, as JSON, to compare with.
---@field picture? string An SVG file to draw the result into.

---@class allma.AskParams
---@field question string The question, in plain language.
---@field conversationId? string Continue this conversation.
---@field useRag? boolean false: a plain chat without the documents.
---@field model? string Another chat model than the one in use.
---@field replaces? string Ask in the place of this message: its turn and all later ones go, once the new answer begins.
---@field topK? integer Maximum number of passages (default 5).
---@field path? string Only files that match this glob, such as src/**/*.py.
---@field workspace? string Only this workspace folder; `all` for every one.

---@class allma.ReadParams
---@field source string A file path (a.md, a.md:3-7), an allma:// URI or a chunk id.
---@field startLine? integer First line to read.
---@field endLine? integer Last line to read.
---@field neighbors? integer With a chunk id: chunks before and after it.

---@class allma.IngestParams
---@field paths string[] Folders or files.
---@field waitSeconds? number Answer with the job after so many seconds, while it goes on.

---@class allma.SyncParams
---@field path? string Only this workspace, or this part of one; all of them without it.

---@class allma.ForgetParams
---@field path string A file, a folder or a workspace that is indexed.

---@class allma.DocumentsParams
---@field workspace? string Only this workspace folder.
---@field state? "indexed"|"skipped"|"failed" Only these.
---@field cursor? string next_cursor of the previous page.
---@field limit? integer Rows in a page.

---@class allma.ConversationsListParams
---@field query? string Only those with these words.
---@field cursor? string next_cursor of the previous page.
---@field limit? integer Rows in a page.

---@class allma.ConversationsShowParams
---@field id string A conversation's id.

---@class allma.ConversationsRenameParams
---@field id string A conversation's id.
---@field title string The new title.

---@class allma.ConversationsDeleteParams
---@field id string A conversation's id.

---@class allma.ConversationsExportParams
---@field id string A conversation's id.

---@class allma.ModelsListParams

---@class allma.ModelsShowParams
---@field name string A model's name, such as llama3.2:3b.

---@class allma.ModelsUseParams
---@field name string A model's name, such as llama3.2:3b.

---@class allma.ModelsPullParams
---@field name string A model's name, such as llama3.2:3b.

---@class allma.ModelsDeleteParams
---@field name string A model's name, such as llama3.2:3b.

---@class allma.StatusParams
---@field jobId? string Only this job's progress.

---@class allma.JobsCancelParams
---@field jobId string The job to stop.

---@class allma.DoctorParams

---@class allma.RepairParams

---@class allma.ExportParams
---@field path string The file to write; it must be a new one.
