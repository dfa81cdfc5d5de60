/* openai_parts: what the files openai*.c share; nobody else includes it. */
#ifndef SERVE_OPENAI_PARTS_H
#define SERVE_OPENAI_PARTS_H

#include <pthread.h>

#include "call/call_chat.h"
#include "data/conversation.h"
#include "gas/answer_gas.h"
#include "infer/embed_settings.h"
#include "serve/openai.h"
#include "serve/openai_cost.h"

struct ask;

struct openai {
	struct openai_options o;
	struct grammars *grammars; /* openai_constrain.c; NULL: none was asked for */
	/* openai_tools.c: how the template has tools, once that was asked; and special tokens that are text then */
	bool calls_known;
	struct call_chat call_chat;
	struct buf call_marks;
	struct buf page_policy; /* Content-Security-Policy of the page at / */
	struct tokens ends;   /* that end an answer */
	char fingerprint[20]; /* of what computes: "fp_…" */
	uint64_t salt;        /* of seeds that nobody said */
	pthread_mutex_t calls; /* one call at a time: clients' by http's threads, batches' by the engine's; of caller */
	struct holder *caller; /* whose the call is that is read */
	pthread_mutex_t lock;  /* of what follows */
	bool closed;
	uint64_t next_id;
	char **names;         /* [n_names] that the model ever had; of its own now [n_own], of these */
	size_t n_names;
	const char **own;
	size_t n_own;
	struct openai_counts counts;
	int pending;          /* choices of requests that are not over */
	double answer_seconds; /* that one took lately, waiting not counted */
	struct rate { double joules, money; } second, token; /* of answering; of vectors and labels; NAN: not known */
	struct guard_scratch *guard_in, *guard_apart, *guard_out; /* calls'; http's second thread's; answers' */
	/* The engine's thread alone: what is being answered; what scores prompts, once one was to be, and for whom. */
	struct ask *asks;
	bool cut;             /* no answer goes on */
	struct scorer *scorer;
	int64_t scorer_age;   /* adapters_age that it is of */
	struct echo *echo;    /* what is scored in this moment */
};

/* A call of a client. A file calls_x.c has the calls of one kind, and the Makefile finds it by its name. */
struct call {
	const char *method;       /* GET, which HEAD may ask too, POST, DELETE */
	const char *const *paths; /* NULL after them; "*" is one part of a path, at the end all the rest */
	/* http's thread. sent: the body, an object; of none an empty one. */
	void (*answer)(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r);
	bool open; /* no key is wanted */
	bool uncharged; /* what it takes is nobody's account: not for keys with budgets */
};
struct calls {
	const struct call *rows; /* { 0 } after them */
};
extern const struct calls *const calls_table[]; /* NULL after them */

/* A call of a tool, as it is read. */
enum { CALL_ID = 9 };
struct called {
	char id[CALL_ID + 1], *name;
	struct buf arguments; /* JSON, an object once it is whole */
	bool whole;
};
struct call_parser;

/* One answer of a request. */
struct choice {
	struct ask *ask;
	int index;
	const struct tokens *prompt; /* of ask->prompts */
	size_t prompt_chars;         /* of its text, for text_offset with echo */
	struct sampler pattern;      /* what is wanted of its sampler: steps, bias, seed, stream */
	int64_t ticket;              /* −1: it is not in the batcher */
	json_t *tokens;              /* logprobs of tokens whose text was not given out yet, or NULL */
	json_t *told;                /* and of all, where the reply is whole */
	size_t offset;               /* legacy text_offset: characters so far */
	struct buf text;             /* where the reply is whole */
	const char *finish;
	struct call_parser *parser;  /* NULL: it calls nothing */
	struct called *calls;        /* [n_calls] */
	size_t n_calls;
	struct buf thought;
};

/* How an answer is told. Of the engine's thread. */
struct ask_form {
	const char *type;                       /* of a stream */
	bool plain;                             /* errors are {"error": "…"}: Ollama's */
	bool keeps;                             /* choice.text is there in a stream too */
	void (*begin)(struct ask *a);           /* what a stream has before any text; or NULL */
	void (*piece)(struct choice *c, const char *text, size_t n); /* text that is certain, of a stream */
	/* of a stream: a thought that stands apart; a call begins, its arguments, it is there. NULL: not told */
	void (*thought)(struct choice *c, const char *text, size_t n);
	void (*call)(struct choice *c, size_t i);
	void (*arguments)(struct choice *c, size_t i, const char *text, size_t n);
	void (*called)(struct choice *c, size_t i);
	void (*done)(struct choice *c);         /* c->finish says how; of a stream */
	void (*end)(struct ask *a);             /* the last of a stream */
	json_t *(*whole)(struct ask *a);        /* the reply where nothing is streamed */
};
extern const struct ask_form openai_form;       /* openai_form.c */

/* A request for answers. */
struct ask {
	struct openai *s;
	const struct ask_form *form;
	json_t *own;            /* of the form: what its replies repeat of the request */
	struct http_later *later;
	char id[40];
	int64_t created;
	bool chat, stream, include_usage, echo, logprobs;
	/* As openai_model has it; from when it runs on as session_use has it: −1 none; holds: of s->o.adapters */
	int adapter;
	bool holds;
	uint64_t client;        /* of its key */
	double until;           /* clock_seconds at which its time is over; 0: never */
	double came, first;     /* when it was asked, and when its first token was drawn, 0: none is */
	double began;           /* when the first of its answers did; 0: none did yet */
	bool late;              /* its time was over */
	char *model;            /* as it was asked for */
	size_t documents;       /* sources that are looked for before it is asked; 0: none are */
	struct conversation talk; /* with them: what is asked, until it is written */
	json_t *sources;        /* those that were found; NULL: none were looked for */
	struct gas looked;      /* what that took, and what all of it did by parts */
	struct answer_gas parts;
	double reading, writing; /* seconds */
	struct tokens *prompts; /* [n_prompts] */
	char **prompt_texts;    /* [n_prompts] with echo, else NULL */
	char **questions;       /* [n_prompts] what is asked of labels, or NULL: those are not asked */
	size_t n_prompts;
	struct choice *choices; /* [n_choices] n of each prompt */
	size_t n_choices, n_done;
	int top_logprobs;
	bool says_length;       /* it says how long an answer may be, which must fit then */
	size_t max_new_tokens;
	double max_ms;          /* of all of it (t_max_predict_ms), 0: no bound */
	char **stop; /* [n_stop] */
	size_t n_stop;
	struct grammar *grammar; /* what answers are to be texts of, or NULL */
	struct buf format;      /* its GBNF, until it is known whether there are tools too */
	const struct call_form *call_form; /* of tools that it has, or NULL */
	json_t *kinds;          /* by their names, what is read of their arguments (call_answer.kinds) */
	bool thinks;            /* the prompt ends where a thought has begun */
	struct sampler_choice sampling;
	struct logit_bias *bias;
	size_t n_bias;
	struct sampler work; /* to find likely tokens with */
	int64_t prompt_tokens, cached_tokens, new_tokens, guessed, right;
	double flops, int_ops, share;
	struct meter_span span;
	struct gas gas;         /* all of it, when it is over */
	struct gas whole;       /* and that of all that was answered meanwhile */
	struct span alone;      /* seconds that it would have taken so */
	struct charge charge;
	const char *key;        /* of the request, that has its texts */
	struct watched *watched; /* [n_prompts] openai_perplexity.c; NULL: nobody looks at what they cost */
	size_t unread;          /* prompts that are still to be looked at so; until none is nothing is sent */
	struct buf held;        /* of a stream meanwhile */
	struct echo *scoring;   /* the prompts' own tokens, while they are scored */
	char *refused;          /* what ends it with 400, content_filter; NULL */
	struct ask *next, **at;
};

/* openai.c: what takes long and needs nothing that calls share, between these: other calls are read meanwhile. In a
 * call alone. */
struct holder *openai_pause(struct openai *s);
void openai_go_on(struct openai *s, struct holder *caller);
/* A reply as OpenAI's clients read it; type and class go by the status. param may be NULL. */
void openai_error(struct http_reply *r, int status, const char *code, const char *param, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void openai_reply(struct http_reply *r, json_t *j); /* 200, j is taken */
/* What a reply says that it took: as gas_request_json, with how the joules are known and the money's currency. New. */
json_t *openai_gas_json(const struct gas *g);
/* A refusal that names a key of the request that was made of another one names that one's. names: {ours, theirs} … up
 * to one of NULL. */
void openai_rename(struct http_reply *r, const char *const (*names)[2]);
/* "PREFIX-…", of this reply alone. */
void openai_number(struct openai *s, const char *prefix, char *out, size_t size);
/* Does it have a key that is none of them (NULL after them) and asks for something? Then that is a refusal. */
bool openai_unknown_key(const json_t *sent, const char *const *known, struct http_reply *r);
/* The whole reply of what was asked before, with its number (NULL: another); plain: an error is Ollama's. */
void openai_later(struct openai *s, struct http_later *l, const char *id, struct http_reply *r, bool plain);
/* What a model's name stands for: −1 the model; of s->o.adapters (adapters_find), without them 0 the one over all;
 * −2 and a refusal: there is none such. */
int openai_model(struct openai *s, const json_t *sent, const char **name, struct http_reply *r);
int openai_adapter(struct openai *s, const char *name); /* −2: there is none such; NULL: the model */
const char *openai_name(struct openai *s);               /* the model's; "" of one that has none of its own */
bool openai_is_name(struct openai *s, const char *name); /* one of its own */
/* All models that are served, this one or those that it is one of (serve/models.h): how many. */
size_t openai_all(struct openai *s, struct openai **out);
/* The engine's thread: the overlay of what is computed now, or NULL. */
const struct overlay *openai_overlay(const struct openai *s);
/* The engine is full, or something that it would take: 503 with retry-after. */
void openai_busy(struct openai *s, struct http_reply *r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void openai_no_model(struct http_reply *r, const char *name);
void openai_count_refused(struct openai *s);
/* Part `part` of the path, 0 the first: of /v1/models/x 2 is x. Empty where there is none. */
void openai_part(const struct http_request *q, int part, char *out, size_t size);

/* openai_ask.c: what a request of chat or completions asks; NULL and a refusal. */
struct ask *ask_read(struct openai *s, const json_t *sent, bool chat, struct http_reply *r);
void ask_free(struct ask *a);
bool openai_is_nothing(const json_t *j);  /* a value that asks for nothing: null, false, an empty text or list */

/* Does it not fit, with the answer that is asked for? Then e has both numbers. */
bool ask_too_long(const struct ask *a, struct err *e);

/* openai_documents.c: what a request chooses of documents, −1 and a refusal; in the engine its prompt with them, −1
 * and why not. */
struct ask_refusal { int status; const char *code, *param; struct err e; };
int ask_documents_read(struct ask *a, const json_t *sent, struct http_reply *r);
int ask_documents_place(struct ask *a, struct ask_refusal *why);
json_t *choice_annotations(const struct choice *c); /* [] without sources; new */
void choice_put_sources(const struct choice *c, json_t *message); /* `sources` and `annotations`, where they are */
void ask_put_parts(const struct ask *a, json_t *gas);
json_t *openai_documents_json(const struct openai *s); /* of /props; null: none are served */

/* openai_said.c: a request that labels answer, or answer first: −1 and a refusal; what they say, in the engine: 1:
 * that is all; −1: they failed. */
int ask_said_read(struct ask *a, const json_t *sent, struct http_reply *r);
int ask_say(struct ask *a, struct err *e);

/* openai_readout.c: documents of which a model says numbers: vectors, labels. They are read in parts, so that answers
 * go on between these. */
enum { PART_TOKENS = 512 };
struct readout {
	struct openai *s;
	struct http_later *later;
	const struct readout_kind *kind;
	struct model *m;              /* that reads them */
	char *model;                  /* its name, as it was asked for */
	const char *charged;          /* whose price it is (tokens_charge) */
	bool base64, plain;           /* plain: an error is Ollama's */
	json_t *own;                  /* of the call */
	struct arena mem;
	struct document *docs;        /* [n] */
	const struct document **list; /* [n] */
	size_t n, tokens;
	struct embed_settings how;          /* of vectors */
	double came;                  /* when it was asked */
	struct charge charge;
	void *reader;                 /* of kind, once it is begun */
	float *out;                   /* [n][width] of these `done` are there, of `read` tokens */
	size_t width, done, read;
	struct gas gas;
	json_t *(*reply)(struct readout *x); /* the engine's thread; all of out is there */
};
/* The engine's thread. */
struct readout_kind {
	int (*begin)(struct readout *x, struct err *e); /* x->reader (NULL: it failed), x->width */
	int (*run)(struct readout *x, const struct document *const *list, size_t n, float *out, struct err *e);
	void (*free)(void *reader);
};
struct readout *readout_new(struct openai *s, const struct readout_kind *kind, struct model *m, const char *model,
                            size_t n);
/* From now on the engine's; or refused, since the key's budgets have no room. */
void readout_start(struct readout *x, const struct http_request *q, json_t *(*reply)(struct readout *x));
void readout_free(struct readout *x);
/* As many documents from `first` on as PART_TOKENS hold, one at least, whatever is answered beside them: bits are of
 * the part. How many tokens those are. */
size_t readout_part(const struct document *docs, size_t first, size_t n, size_t *tokens);

/* openai_vectors.c: vectors of a text, texts, token ids or lists of them; NULL and a refusal. may_cut: a text that is
 * too long loses its end. */
struct readout *vectors_read(struct openai *s, const char *model, const json_t *input, bool may_cut,
                             struct http_reply *r);
json_t *vector_json(const float *v, size_t width);

/* openai_labels.c: what m, which classifies, says of n texts. The i-th, or with the second of a pair; param: the key
 * that a refusal names. −1: refused. */
struct readout *labels_new(struct openai *s, struct model *m, const char *model, size_t n);
int labels_text(struct readout *x, size_t i, const json_t *text, const json_t *pair, const char *param,
                struct http_reply *r);

/* openai_constrain.c: what a request's answers are to be texts of, into a->grammar. A grammar by its GBNF, to be freed;
 * marks: over the tokens that calls are written with too. */
int ask_constrain(struct ask *a, const json_t *sent, struct http_reply *r);
struct grammar *openai_grammar(struct openai *s, const struct buf *gbnf, bool marks, struct err *e);
void openai_grammars_free(struct grammars *g);

/* openai_tools.c: a conversation with the tools of a request, as the template takes them. What its answers may call,
 * into a->grammar and a->call_form; what reads them, once there are choices; text of a choice that is certain. */
int openai_give_tools(struct openai *s, const json_t *sent, struct conversation *x, struct http_reply *r);
int ask_tools(struct ask *a, const json_t *sent, const struct buf *prompt, struct http_reply *r);
void ask_read_calls(struct ask *a);
void choice_text(struct choice *c, const char *text, size_t n); /* openai_run.c */
void choice_calls_release(struct choice *c);
json_t *called_arguments(const struct called *call); /* as they are written; new */

/* openai_messages.c: a conversation as a client sends it, to be released; −1 and a refusal. Its ids, as the model's
 * template writes it; text: that, where it is not NULL; −1 and a sentence. Both, −1 and a refusal. */
int conversation_read(struct openai *s, const json_t *sent, struct conversation *x, struct http_reply *r);
int conversation_ids(struct openai *s, struct conversation *x, struct tokens *ids, struct buf *text, struct err *e);
/* The text of a conversation that is one user's turn, mem_free; NULL: it is not. A text that is continued, after what
 * stands before it. */
char *conversation_question(const json_t *messages);
int openai_text_ids(struct openai *s, const char *text, size_t n, struct tokens *ids, struct err *e);
int openai_conversation(struct openai *s, const json_t *sent, struct tokens *ids, struct buf *text,
                        struct http_reply *r);

/* openai_logprobs.c: a token that a choice drew, into choice.tokens. Of a request with echo the next part of the
 * prompts' own tokens, by the engine's thread: 1 where more are left, −1 and a sentence. Characters of a text in
 * UTF-8. */
void choice_token(struct choice *c, int32_t id, const float *logits);
int ask_echo(struct ask *a, struct err *e);
void ask_echo_free(struct ask *a);
size_t openai_characters(const char *text);

/* openai_guard.c: texts of a request, which are changed where they are to be redacted; false and a refusal: 400,
 * content_filter. And a choice's whole text: another one, or none, which ends it as content_filter. */
bool openai_guard(struct openai *s, const struct http_request *q, json_t *sent, struct http_reply *r);
void choice_guard(struct choice *c);
void openai_guard_told(struct openai *s, const char *where, const char *text, const struct guard_result *r);
char *openai_guard_sentence(const struct guard_result *r); /* of a refusal; mem_free */

/* openai_perplexity.c: what was sent of prompt i (a text, or ids: they are in a->prompts), of a conversation the last
 * messages, where such texts are looked at. Then, in the engine, batcher_request's `scored` (NULL) and `read`. */
void ask_watch_prompt(struct ask *a, size_t i, const json_t *sent);
void ask_watch_messages(struct ask *a, const json_t *messages, size_t last);
void ask_watched_free(struct ask *a);
const uint8_t *choice_scored(const struct choice *c);
int choice_read(void *choice, int64_t ticket, const float *cost);

/* openai_run.c: from now on the engine's; or refused, since the budgets of its key have no room. */
void ask_start(struct ask *a, const struct http_request *q);
/* The first of its answers is being made; text of one that is certain, other than 0: who asked has left; all of its
 * text is there, and c->finish says how it ended. */
void ask_begin(struct ask *a);
int ask_emit(struct choice *c, const char *text, size_t n);
void choice_end(struct choice *c);
/* What it sends may go: all prompts were looked at. All of it ends: what is not answered yet is not. */
void ask_open(struct ask *a);
void ask_cancel(struct ask *a);
void ask_put(struct ask *a, const char *bytes, size_t n); /* of a stream */
/* A piece of a stream: j, which is taken, between two texts. */
void ask_send(struct ask *a, const char *before, json_t *j, const char *after);
json_t *ask_gas_json(const struct ask *a); /* what it took, when it is over; NULL: that is not told */

#endif
