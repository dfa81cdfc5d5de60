/* chat_parts: what the files of `chat` share: the conversation, who may answer in it (cmd_chat.c), and the commands
 * that begin with a slash (chat_commands.c). */
#ifndef CMD_CHAT_PARTS_H
#define CMD_CHAT_PARTS_H

#include "cmd/chat/line_edit.h"
#include "cmd/guarding.h"
#include "cmd/in_context.h"
#include "cmd/model_common.h"
#include "cmd/generate/constraining.h"
#include "cmd/generate/drafting.h"
#include "cmd/generate/sampling.h"
#include "cmd/index/citations.h"
#include "infer/chat_turn.h"

struct chat_options {
	struct common common;
	struct opt_list adapters;
	const char *system, *compute;
	struct four_bit_options four_bit;
	bool history;
	int64_t ctx_size;
	struct sampling sampling;
	struct constraining_options constraint;
	struct draft_options draft;
	struct in_context_options context;
	struct sources_options documents;
	struct cache_options cache;
	struct guarding_options guard;
};

/* The model, or the model with an adapter: each has keys and values of its own. */
struct speaker {
	char *name;                    /* the adapter's folder; "off" for the model alone */
	struct adapter adapter;
	struct session *session;       /* NULL until it first answers */
};

struct chat {
	struct app *app;
	const struct chat_options *o;
	struct loaded l;
	struct speaker **speakers;         /* the first is the model alone */
	size_t n_speakers, current;
	struct speaker *last;            /* who answered last */
	json_t *messages;
	/* What stands before them, which is no part of the conversation; or NULL. */
	struct in_context context;
	struct fewshot *fewshot;
	json_t *before;
	bool chooses;                  /* examples, for each question; `before` is then of the last one */
	size_t chosen;                 /* questions that had theirs */
	double added_tokens;           /* of those in the mean; before the first, as they may be */
	struct sources sources;        /* of --documents */
	json_t *found;                 /* of the last question; NULL: there is no index */
	struct buf question;           /* that it was */
	struct answer_gas gas;         /* of the last answer */
	json_t *tools, *variables;     /* of a row that was loaded, for the template; or NULL */
	struct session_size size;      /* of every speaker's session */
	struct sampler sampler;
	struct generate_options generate;
	struct drafting drafting;
	struct constraining constraining;
	struct guarding guarding;
	struct line_edit *lines;
	char *file;                    /* that the conversation was saved to or loaded from */
	size_t turns, new_tokens, prompt_tokens, kept, computed; /* of the last turn but the first two, of all */
	size_t read_tokens;            /* of prompts, that went through the model */
	double operations, int_ops;
	bool leave;
};

/* The answer to the last message, by one speaker; shown and counted. *text is to be released. */
int chat_answer(struct chat *c, struct speaker *v, struct buf *text, struct err *e);
void chat_push(struct chat *c, const char *role, const char *text, size_t n);
/* A question, with its sources before it where an index is there. */
int chat_push_question(struct chat *c, const char *text, struct err *e);
void chat_reset(struct chat *c);
/* The speaker of an adapter, loaded when it is new; *index. */
int chat_voice(struct chat *c, const char *adapter, size_t *index, struct err *e);

/* chat_context.c: what stands before the conversation; its examples for a question, where they are chosen by it. */
int chat_context_begin(struct chat *c, struct err *e);
int chat_context_choose(struct chat *c, const char *text, struct err *e);

/* A line that begins with a slash. */
int chat_command(struct chat *c, const char *line, struct err *e);

#endif
