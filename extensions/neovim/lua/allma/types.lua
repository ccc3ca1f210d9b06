---@meta
-- What travels between Neovim and the server.
-- Written by scripts/write_types.py from the server's model.

---@class allma.FileReason
---@field path string
---@field reason string

---@class allma.IngestReport
---@field indexed integer
---@field updated integer
---@field unchanged integer
---@field removed integer
---@field skipped allma.FileReason[]
---@field failed allma.FileReason[]
---@field chunks integer
---@field seconds number

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

---@class allma.Citation
---@field number integer
---@field passage allma.Passage
---@field cited boolean

---@class allma.AnswerStats
---@field retrievalMs integer
---@field firstTokenMs? integer
---@field totalMs integer
---@field promptTokens? integer
---@field answerTokens? integer
---@field truncated boolean

---@class allma.Answer
---@field text string
---@field citations allma.Citation[]
---@field conversationId string
---@field messageId string
---@field model? string
---@field mode "generated"|"passages_only"
---@field stats allma.AnswerStats

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

---@class allma.Message
---@field id string
---@field role "user"|"assistant"|"system"
---@field content string
---@field model? string
---@field createdAt string
---@field sources allma.MessageSource[]

---@class allma.Conversation
---@field id string
---@field title string
---@field createdAt string
---@field updatedAt string
---@field messageCount integer
---@field messages allma.Message[]

---@class allma.ModelInfo
---@field name string
---@field size? integer
---@field parameters? string
---@field quantization? string
---@field contextLength? integer
---@field capabilities string[]
---@field modifiedAt? string
---@field inUse boolean

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

---@class allma.SearchResult
---@field passages allma.Passage[]
---@field notice? string
---@field retrievalMs integer

---@class allma.Excerpt
---@field path string
---@field text string
---@field startLine integer
---@field endLine integer
---@field totalLines integer
---@field uri string
---@field source "disk"|"index"

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

---@class allma.DocumentPage
---@field documents allma.DocumentRow[]
---@field total integer
---@field nextCursor? string

---@class allma.ForgetReport
---@field path string
---@field documents integer
---@field chunks integer
---@field workspaceRemoved boolean
---@field notice? string

---@class allma.ConversationPage
---@field conversations allma.Conversation[]
---@field total integer
---@field nextCursor? string

---@class allma.Export
---@field title string
---@field markdown string

---@class allma.ModelList
---@field models allma.ModelInfo[]
---@field inUse? string
---@field provider string

---@class allma.Done
---@field message string

---@class allma.EmbedderStatus
---@field name? string
---@field dimensions? integer

---@class allma.OllamaStatus
---@field url string
---@field reachable boolean
---@field version? string
---@field reason? string

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

---@class allma.Check
---@field name string
---@field state "ok"|"warning"|"failed"
---@field detail string
---@field nextStep? string

---@class allma.Diagnosis
---@field healthy boolean
---@field checks allma.Check[]
