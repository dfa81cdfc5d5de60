/* kungfu.h: language models inside another program: run them, adapt them to data, judge them. Link with `pkg-config
 * --libs kungfu`.
 *
 *     struct kf_error error;
 *     struct kf_model *model;
 *     struct kf_session *session;
 *     struct kf_generation answer;
 *     int32_t *ids;
 *     size_t n;
 *     if (kf_model_open(&model, "model.gguf", &error) || kf_session_new(&session, model, NULL, 0, NULL, &error) ||
 *         kf_chat(model, &(struct kf_message){ "user", "What is a kernel?" }, 1, &ids, &n, &error) ||
 *         kf_session_generate(session, ids, n, NULL, &answer, &error))
 *             return fprintf(stderr, "%s\n", error.message), 1;
 *     puts(answer.text);
 *
 * Handles. A kf_model is a file of weights, a kf_adapter what was learnt beside them, a kf_session one conversation, a
 * kf_trainer one training run, a kf_evaluator gives scores, a kf_labeller says labels, a kf_data is rows as a model
 * sees them. All are opaque; each is freed by its kf_…_free, which takes NULL too. A handle keeps alive what it was
 * made from: the order in which handles are freed does not matter. One that is freed inside a callback of its own call
 * goes when that call ends; what the call filled in is then not to be looked at.
 *
 * Threads. kf_model, kf_adapter and kf_data do not change once they are open: any number of threads may use them at
 * once. Every other handle serves one thread at a time; a second one is refused (KF_MISUSE), not made to wait. Each
 * such handle works with threads of its own (kf_settings), which sleep between calls and take no signals. Results do
 * not depend on their number, bit for bit.
 *
 * Errors. Functions that can fail return an enum kf_status, 0 where all went well, and then write one sentence into the
 * struct kf_error that the caller lends (NULL: not wanted). After an error every handle is as before the call unless
 * its function says otherwise, and what the call should have made is NULL. A caller's mistake (NULL, a number out of
 * range, calls in a wrong order, one handle in two threads) is KF_MISUSE.
 *
 * The library never exits, prints, reads standard input or installs a signal handler, and has no settings beside those
 * in its arguments (but KUNGFU_ISA, see kungfu(1)). What would be told a person goes to the log of kf_settings. Two
 * things end the process all the same: a system that refuses a small piece of memory (big ones, weights and
 * activations, are errors), and a mistake in this library that it notices. A line on standard error says which.
 * doc/library.md has more: memory, signals, fork, locales.
 *
 * Structs. Those that the caller fills mean their defaults where they are zero: `= { 0 }`, then what is wanted.
 * Pointers in them are borrowed for the call; callbacks and their context for the life of the handle. Those that the
 * library fills are overwritten whole. Text is UTF-8, tokens are numbers from 0 to vocabulary − 1, log-probabilities
 * are natural. `reserved` must be zero.
 *
 * KF_ABI counts changes that need a new compilation; the shared library's name carries it. Functions and values of
 * enums may be added without one. */
#ifndef KUNGFU_H
#define KUNGFU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KF_API __attribute__((visibility("default")))
#define KF_ABI 1
#define KF_WHOLE ((size_t)-1)          /* as the length of a text: up to its NUL */

struct kf_model;
struct kf_adapter;
struct kf_session;
struct kf_trainer;
struct kf_evaluator;
struct kf_data;

enum kf_status {
	KF_OK = 0,
	KF_DONE = 1,                   /* kf_trainer_step: there is no step left, nothing was done */
	KF_FAILED = -1,                /* the world: a file, its contents, memory, disk, a loss that is no number */
	KF_MISUSE = -2,                /* the caller: the program that called has a mistake */
	KF_STOPPED = -3,               /* a callback said so */
};

struct kf_error {
	int32_t status;                /* enum kf_status */
	/* one sentence: what, where, what was found, what was wanted; "" after a success */
	char message[1024];
};

enum kf_log_level { KF_LOG_INFO = 0, KF_LOG_WARNING = 1 };

enum kf_cache_type { KF_CACHE_F32 = 0, KF_CACHE_F16 = 1, KF_CACHE_Q8_0 = 2 };

struct kf_settings {
	int32_t threads;               /* 1 … 1024; 0: as many as this process may use */
	uint32_t reserved_flags;
	/* Called in the thread that made the call, with a line without its end; NULL: nobody listens. */
	void (*log)(void *ctx, int level, const char *text);
	void *log_ctx;
	/* enum kf_cache_type: how a session keeps keys and values; others do not look at it */
	int32_t cache_type_k, cache_type_v;
	uint64_t reserved[3];
};

KF_API const char *kf_version(void);   /* "0.1.0" */
KF_API int kf_abi(void);               /* KF_ABI of the library that runs; compare it after dlopen */
KF_API void kf_free(void *p);          /* memory that a function here gave to the caller */

/* --- model: a GGUF file, a Hugging Face folder, or what `kungfu adapt` left (its base, with its adapter where a call
 * has none; of a cascade the dear way; what it puts before what is asked, and what its documents have, stand before
 * rows and in kf_ask and kf_chat), mapped: it is read as it is used, and its memory is shared with other processes. One
 * whose tokenizer is missing or not known opens all the same and is run by ids; what reads or writes text (kf_encode,
 * kf_decode, kf_chat, kf_session_generate, rows) then is KF_FAILED with the reason --- */

KF_API int kf_model_open(struct kf_model **model, const char *path, struct kf_error *error);
KF_API void kf_model_free(struct kf_model *model);

struct kf_model_facts {
	const char *architecture;      /* "llama"; lives as long as the model */
	int32_t layers, width, heads, kv_heads, vocabulary;
	int32_t context;               /* positions that it was made for */
	int32_t bos, eos;              /* −1: none */
	bool has_template;             /* kf_chat works */
	bool tied;                     /* head and embedding are one matrix */
	uint64_t parameters, bytes;    /* numbers; of its weight files */
	uint64_t reserved[4];
};
KF_API int kf_model_describe(const struct kf_model *model, struct kf_model_facts *facts, struct kf_error *error);

/* --- text and tokens --- */

/* kf_encode: special tokens are recognized by their text; kf_decode: they are shown */
enum { KF_SPECIAL = 1 };

/* Exactly as the model's own tokenizer, without a BOS. *ids: for kf_free; NULL with *n_ids 0 for an empty text. */
KF_API int kf_encode(const struct kf_model *model, const char *text, size_t length, int flags, int32_t **ids,
                     size_t *n_ids, struct kf_error *error);
/* *text: NUL-terminated, for kf_free, bytes that are no UTF-8 replaced by U+FFFD; length may be NULL. */
KF_API int kf_decode(const struct kf_model *model, const int32_t *ids, size_t n, int flags, char **text, size_t *length,
                     struct kf_error *error);

struct kf_message {
	const char *role, *content;    /* "system", "user", "assistant" */
};
/* A text as `kungfu generate -p` asks it: the user's turn in the model's own template, without one the text as it is;
 * what `kungfu adapt` left is asked as it was measured: after its instruction and examples, with what its documents
 * have, and without a template where its rows had none. */
KF_API int kf_ask(const struct kf_model *model, const char *text, size_t length, int32_t **ids, size_t *n_ids,
                  struct kf_error *error);
/* A conversation in the model's own template, up to where the assistant's answer begins, after an instruction and
 * examples as above. KF_FAILED for a model without one. */
KF_API int kf_chat(const struct kf_model *model, const struct kf_message *messages, size_t n, int32_t **ids,
                   size_t *n_ids, struct kf_error *error);

/* What its documents have for a text, as they stand before it: *found is JSON, a list of {number, id, score, title,
 * source, text}, for kf_free; "[]" where nothing is found, and of a model without documents. */
KF_API int kf_find(const struct kf_model *model, const char *text, size_t length, char **found, struct kf_error *error);

/* --- adapter: a LoRA in PEFT's form, as kf_trainer_result and kungfu tune write them --- */

KF_API int kf_adapter_open(struct kf_adapter **adapter, struct kf_model *model, const char *folder,
                           struct kf_error *error);
/* A Hugging Face folder of the model with the adapter worked in; dtype "f32", "f16" or "bf16". folder must not exist or
 * be empty. */
KF_API int kf_adapter_merge(const struct kf_adapter *adapter, const char *folder, const char *dtype,
                            struct kf_error *error);
KF_API void kf_adapter_free(struct kf_adapter *adapter);

/* --- session: tokens in, logits out; what went in stays in its cache, so the next turn computes only what is new
 * --- */

/* adapter: of this model, or NULL. context: tokens that it can hold, 0: the model's whole context. The cache takes
 * memory as it fills. */
KF_API int kf_session_new(struct kf_session **session, struct kf_model *model, struct kf_adapter *adapter, int context,
                          const struct kf_settings *settings, struct kf_error *error);
KF_API void kf_session_free(struct kf_session *session);
/* n ≥ 1 tokens after those that are there. *logits (may be NULL): a number for each token of the vocabulary, what
 * comes next; borrowed until the next call with this session. Tokens that do not fit are an error and nothing is
 * fed. */
KF_API int kf_session_feed(struct kf_session *session, const int32_t *ids, size_t n, const float **logits,
                           struct kf_error *error);
KF_API int kf_session_length(const struct kf_session *session);  /* tokens in it; KF_MISUSE for NULL */
KF_API int kf_session_context(const struct kf_session *session); /* tokens that it can hold; KF_MISUSE for NULL */
/* Forgets all but the first `length` tokens. */
KF_API int kf_session_truncate(struct kf_session *session, int length, struct kf_error *error);

struct kf_bias {
	int32_t id;
	float bias;                    /* added to the token's logit; minus infinity: never */
};

/* names, meaning and order as kungfu generate's options; all zero: the likeliest token */
struct kf_sampling {
	double temperature;            /* 0: always the likeliest; 1: as the model says */
	double top_p;                  /* 0 … 1: only the likeliest that together reach this share; 0: off */
	/* 0 … 1: only those with at least this part of the likeliest one's probability; 0: off */
	double min_p;
	double typical_p;              /* 0 … 1: only those of about the usual surprise, up to this share; 0: off */
	double repetition_penalty;     /* of tokens that were there before, in ids or the answer; 0 and 1: off */
	double frequency_penalty, presence_penalty; /* taken off their logits, for each time and once; 0: off */
	int32_t top_k;                 /* only the likeliest K; 0: off */
	int32_t repeat_last_n;         /* how many tokens the penalties look back at; 0: all */
	const struct kf_bias *bias;
	size_t n_bias;
	uint64_t seed;                 /* of the draws; the same seed draws the same tokens */
	uint64_t reserved[6];
};

enum kf_finish { KF_FINISH_STOP, KF_FINISH_LENGTH, KF_FINISH_CANCELLED };

struct kf_generate_options {
	size_t max_new_tokens;         /* 0: what the context holds */
	const char *const *stop;       /* strings that end the answer and are not part of it */
	size_t n_stop;
	struct kf_sampling sampling;
	/* Text as it becomes certain, whole characters; other than 0 ends the answer (KF_FINISH_CANCELLED). May be
	 * NULL. */
	int (*on_text)(void *ctx, const char *text, size_t length);
	void *ctx;
	uint64_t reserved[4];
};

/* pointers are borrowed until the next kf_session_generate with, or kf_session_free of, this session */
struct kf_generation {
	const char *text;              /* NUL-terminated; special tokens are left out */
	size_t length;
	const int32_t *ids;            /* [n] the one that ended it included */
	/* [n] of each, given all before it, as the model says (temperature 1, nothing cut) */
	const float *logprobs;
	size_t n;
	/* enum kf_finish: the model or a stop string; max_new_tokens or the context; on_text */
	int32_t finish;
	bool context_full;             /* why it is KF_FINISH_LENGTH */
	double prompt_seconds, seconds; /* reading the prompt; the tokens after the first */
	uint64_t reserved[4];
};

/* Feeds ids (n ≥ 1), then goes on token by token until an end. The last token of the answer is not fed:
 * kf_session_length says what is in the session. After an error the prompt and a part of the answer may be. options may
 * be NULL. */
KF_API int kf_session_generate(struct kf_session *session, const int32_t *ids, size_t n,
                               const struct kf_generate_options *options, struct kf_generation *generation,
                               struct kf_error *error);

/* --- data: rows (JSONL, .gz, a folder of them) as documents: tokens, and which of them are learnt --- */

struct kf_data_options {
	/* of a document in tokens; longer text is cut into several; 0: the model's context */
	int32_t max_length;
	bool packing;                  /* join documents into rows of exactly max_length */
	bool apply_chat_template;      /* rows of query,choices,gold: the query is the user's turn */
	/* of those rows: a document for each choice, to be scored; else the gold one alone, to be learnt */
	bool all_choices;
	uint8_t reserved_flags;
	uint64_t reserved[4];
};

struct kf_document {
	const int32_t *ids;            /* [n] */
	/* [n] 1: predicted from those before it, and counts; the first is 0. NULL in kf_evaluator_score: all but the
	 * first */
	const uint8_t *learn;
	size_t n;
	const char *file;              /* where it comes from; may be NULL in kf_evaluator_score */
	size_t line;                   /* from 1 */
	int32_t choice;                /* of a choice row: which one; else −1 */
	uint32_t reserved_flags;
};

struct kf_lint {                       /* what there is before packing, and what a person should know of it */
	size_t rows, documents, tokens, learnt;
	size_t ended;                  /* documents in which an end is learnt */
	size_t truncated, split;       /* that lost their end; beyond the first of a long text */
	/* assistant turns that the template writes differently once others follow: not learnt */
	size_t rewritten;
	size_t duplicates;             /* equal to an earlier one */
	size_t refused;                /* documents or sets that training would refuse: kf_data_finding */
	int32_t shortest, median, p95, longest; /* tokens */
	uint64_t reserved[4];
};

struct kf_finding {
	const char *file, *text;       /* text: one sentence */
	size_t line;
};

/* Rows that cannot be read at all are an error with file and line; those that training would refuse are counted. */
KF_API int kf_data_open(struct kf_data **data, struct kf_model *model, const char *path,
                        const struct kf_data_options *options, struct kf_error *error);
KF_API void kf_data_free(struct kf_data *data);
KF_API size_t kf_data_count(const struct kf_data *data);          /* documents; 0 for NULL */
/* Everything it points at lives as long as data. */
KF_API int kf_data_document(const struct kf_data *data, size_t i, struct kf_document *document, struct kf_error *error);
KF_API int kf_data_lint(const struct kf_data *data, struct kf_lint *lint, struct kf_error *error);
/* The first hundred are kept. */
KF_API int kf_data_finding(const struct kf_data *data, size_t i, struct kf_finding *finding, struct kf_error *error);

/* --- evaluator: log-probabilities of many documents at once, and scores of rows with their errors --- */

struct kf_evaluator_options {
	/* of a document, of a window of text; 0: the model's context (of text 1,024, or the context if less) */
	int32_t max_length;
	int32_t stride;                /* text: a window begins every so many tokens; 0: half of the window */
	int32_t micro_batch_tokens;    /* computed at once; 0: 1,024 */
	bool apply_chat_template;      /* rows of query,choices,gold: the query is the user's turn */
	uint8_t reserved_flags[3];
	/* How far it is, in documents (score) or tokens (rows); other than 0 stops the call (KF_STOPPED). May be
	 * NULL. */
	int (*progress)(void *ctx, int64_t done, int64_t total);
	/* kf_evaluator_rows: what came of a row, a JSON object as kungfu eval --details writes it. May be NULL. */
	void (*row)(void *ctx, const char *json);
	void *ctx;
	uint64_t reserved[4];
};

KF_API int kf_evaluator_new(struct kf_evaluator **evaluator, struct kf_model *model, struct kf_adapter *adapter,
                            const struct kf_evaluator_options *options, const struct kf_settings *settings,
                            struct kf_error *error);
KF_API void kf_evaluator_free(struct kf_evaluator *evaluator);

/* sum[i]: Σ log p of what is learnt in document i. each (may be NULL): each[i] has room for documents[i].n floats,
 * filled where something is learnt. Beginnings that neighbours share are computed once. */
KF_API int kf_evaluator_score(struct kf_evaluator *evaluator, const struct kf_document *documents, size_t n,
                              double *sum, float *const *each, struct kf_error *error);

/* --- embeddings: a vector a text, as kungfu embed has it. Encoders and decoders --- */

struct kf_embed_options {              /* what is 0 or NULL is as the model's own files say */
	const char *pooling;           /* "mean", "cls", "last" or "max" */
	const char *prompt;            /* in front of every text; "": none */
	int32_t normalize;             /* 1: divided by their length, -1: not */
	int32_t max_length;            /* tokens of a text, which loses its end beyond them */
	uint64_t reserved[4];
};
/* *vectors: n times *width numbers, for kf_free; *width is that of the model. options: NULL for the model's own. The
 * evaluator's max_length and stride say nothing here. */
KF_API int kf_embed(struct kf_evaluator *evaluator, const char *const *texts, size_t n,
                    const struct kf_embed_options *options, float **vectors, size_t *width, struct kf_error *error);

/* --- labels: what kungfu probe --out or kungfu adapt left where words or states answer, of a cascade its cheap way,
 * and the dear one too where that says labels. One thread at a time --- */

struct kf_labeller;
/* Opens the model too whose states it reads. A folder that answers by a text is refused: kf_model_open has it. */
KF_API int kf_labeller_open(struct kf_labeller **labeller, const char *path, const struct kf_settings *settings,
                            struct kf_error *error);
KF_API void kf_labeller_free(struct kf_labeller *labeller);
KF_API size_t kf_labeller_count(const struct kf_labeller *labeller); /* labels; 0 for NULL */
KF_API const char *kf_labeller_name(const struct kf_labeller *labeller, size_t i); /* NULL: there are not so many */
/* *label: which one; -1: a cascade's cheap way is not sure enough, and the model of kf_model_open answers. chances
 * (may be NULL): of each label, by the way that said it. */
KF_API int kf_labeller_say(struct kf_labeller *labeller, const char *text, size_t length, int32_t *label,
                           double *chances, struct kf_error *error);

struct kf_estimate {                   /* a score with its error; n 0: there is none */
	double mean, error, low, high; /* standard error; 95 % interval */
	size_t n;
};

struct kf_evaluation {                 /* which of them, follows from the shape of the rows, as in kungfu eval */
	size_t rows;
	struct kf_estimate acc, acc_norm, exact_match, perplexity;
	int64_t tokens, scored_tokens, computed_tokens, new_tokens;
	size_t truncated;
	double flops, seconds;
	uint64_t reserved[4];
};
KF_API int kf_evaluator_rows(struct kf_evaluator *evaluator, const char *path, struct kf_evaluation *evaluation,
                             struct kf_error *error);

/* --- trainer: a pull loop. The caller owns time: one call, one optimizer step, its metrics back --- */

struct kf_option {
	/* as on kungfu tune's command line: "lora-r", "16"; see kungfu-tune(1). One that the method, the objective or
	 * the optimizer that is named does not use is KF_MISUSE. */
	const char *name, *value;
};

struct kf_plan {                       /* the dry run: what the job needs, read off the very plan that will run */
	uint64_t memory_bytes;         /* highest resident set of the process */
	uint64_t checkpoint_bytes, disk_bytes; /* one checkpoint; all that will be on disk at once */
	double flops, seconds;
	int64_t steps, steps_per_epoch, micro_batches, documents;
	/* over all steps: as written; shared beginnings once; that count in the loss */
	int64_t tokens, computed_tokens, supervised_tokens;
	uint64_t trainable, parameters; /* numbers */
	uint64_t reserved[8];
};

struct kf_step {
	int64_t step;                  /* steps done, from 1 */
	double loss, grad_norm, learning_rate, epoch, seconds, flops;
	int64_t tokens, computed_tokens, supervised_tokens;
	uint64_t reserved[4];
};

struct kf_scores {                     /* of eval-data; acc is not a number but for choice rows */
	double loss, perplexity, acc, acc_norm, acc_error, acc_norm_error, seconds;
	int64_t rows, tokens;          /* tokens: that the loss is a mean of */
	uint64_t reserved[4];
};

/* options: ends with a name NULL; model and data are needed, the rest has kungfu tune's defaults; "out" says on which
 * disk room is looked for. Reads model and data, records, plans; takes no training memory yet. Options about logging
 * and saving are kungfu tune's alone: here the caller does both. */
KF_API int kf_trainer_open(struct kf_trainer **trainer, const struct kf_option *options,
                           const struct kf_settings *settings, struct kf_error *error);
KF_API void kf_trainer_free(struct kf_trainer *trainer);
KF_API int kf_trainer_plan(const struct kf_trainer *trainer, struct kf_plan *plan, struct kf_error *error);
/* Takes all memory that the run needs, after a look at whether the machine has it. Once, before everything below but
 * kf_trainer_count, _document, _next and the setting of weights and rates. After an error only kf_trainer_free is
 * left. */
KF_API int kf_trainer_start(struct kf_trainer *trainer, struct kf_error *error);
/* One step: KF_OK, or KF_DONE when there is none left. A loss that is not finite is KF_FAILED, and nothing has
 * changed. */
KF_API int kf_trainer_step(struct kf_trainer *trainer, struct kf_step *step, struct kf_error *error);
KF_API int64_t kf_trainer_steps_done(const struct kf_trainer *trainer); /* 0 for NULL */

/* The next step's learning rate instead of the schedule's; that step uses it up. Finite, not negative. */
KF_API int kf_trainer_set_learning_rate(struct kf_trainer *trainer, double rate, struct kf_error *error);
/* Documents to learn from, in the order of their rows; a pointer in *document lives as long as the trainer. */
KF_API size_t kf_trainer_count(const struct kf_trainer *trainer);       /* 0 for NULL */
KF_API int kf_trainer_document(const struct kf_trainer *trainer, size_t i, struct kf_document *document,
                               struct kf_error *error);
/* How much a document's tokens count, from now on: loss = −Σ weight · log p / Σ weight over the learnt tokens of a
 * step. 1 at first; finite, not negative. Weights are not part of a checkpoint. */
KF_API int kf_trainer_set_weight(struct kf_trainer *trainer, size_t document, double weight, struct kf_error *error);
/* The documents of the next step: their number, and up to `room` of them; documents may be NULL with room 0. */
KF_API int kf_trainer_next(struct kf_trainer *trainer, size_t *documents, size_t room, size_t *n,
                           struct kf_error *error);

/* On eval-data, with the weights of this moment. */
KF_API int kf_trainer_evaluate(struct kf_trainer *trainer, struct kf_scores *scores, struct kf_error *error);
/* A checkpoint in a folder of that name. The folder may be missing, empty or a checkpoint, which is replaced: it is
 * written beside (FOLDER.kungfu-tmp-…) and takes the place in one step, so that a process that is killed at any
 * moment leaves one there that can be loaded. Any other folder, a file, and a checkpoint beside whose files lies one of
 * yours are refused and left as they are. note: any text of the caller's that shall come back with it, or NULL. */
KF_API int kf_trainer_save(struct kf_trainer *trainer, const char *folder, const char *note, struct kf_error *error);
/* Goes on from it, in a trainer with the same options: the bits are those of a run in one piece. *note: for kf_free,
 * NULL where there was none; note may be NULL. */
KF_API int kf_trainer_load(struct kf_trainer *trainer, const char *folder, char **note, struct kf_error *error);
/* What was learnt: an adapter's folder, or with method full a model's. Gives the step's memory back first: nothing may
 * follow but another try. */
KF_API int kf_trainer_result(struct kf_trainer *trainer, const char *folder, struct kf_error *error);

#ifdef __cplusplus
}
#endif

#endif
