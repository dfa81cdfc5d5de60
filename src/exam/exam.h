/* exam: evaluations as lm-eval 0.4.13 writes them: a YAML says which rows there are, how each becomes a prompt, what is
 * asked of a model (log-probabilities of choices or of a text, or an answer), how answers are cut to what counts and
 * what is measured. Same prompts, token by token, and the same numbers a sample.
 *
 *     exams_open(&set, names, n, &source, &e)        which tasks: configs, rows, groups
 *     exam_ask(task, &how, &asked, &e)               rows → requests
 *     exam_run(&subject, &asked, &options, &e)       requests → replies
 *     exam_score(task, &asked, &scores, &e)          replies → filtered answers, metrics of every sample, sums of
  * them
 *
 * Rows, answers and what is measured of a sample are JSON, as they stand in lm-eval's samples files.
 *
 * Names of tasks: those of share/tasks.yaml, which are built in (Python of theirs is a function of ours, in a file
 * function_x.c); a FILE.yaml; a DIR of such files. A group is its members, a tag all that carry it. What a config says
 * and nothing here does (!function, keys, metrics, filters of other names) is refused by name.
 *
 * Not here: images and sounds, code that is run, BLEU, chrF and TER, prompts of promptsource. */
#ifndef EXAM_EXAM_H
#define EXAM_EXAM_H

#include <jansson.h>

#include "base/arena.h"
#include "data/document.h"
#include "eval/statistics.h"
#include "infer/generate.h"

enum exam_output { EXAM_MULTIPLE_CHOICE, EXAM_LOGLIKELIHOOD, EXAM_ROLLING, EXAM_GENERATE };

struct exam_function;

/* A doc_to_x of a config: a value, a column, a template, or a function of ours. */
struct exam_field {
	const json_t *value;           /* NULL: the config has none */
	struct template *template_;
	const struct exam_function *function;
};

enum { EXAM_METRICS = 12, EXAM_FILTERS = 8 };

struct exam_metric {
	const char *name, *aggregation;
	bool higher_is_better;
	const json_t *options;         /* the entry of metric_list, or NULL */
	struct py_re **ignore;         /* [n_ignore] regexes_to_ignore */
	size_t n_ignore;
	const struct exam_function *function; /* that aggregates, or NULL */
};

/* What is measured of a sample where neither lm-eval nor a function does: adds to an object. answers as a
 * function's. */
struct exam_own {
	int (*measure)(void *ctx, size_t row, const json_t *doc, const json_t *answers, json_t *metrics, struct err *e);
	void *ctx;
};

struct exam_filter;                    /* a pipeline of steps; exam_filter.c */

struct exam {
	const char *name, *alias;
	json_t *config;                /* includes merged */
	char *folder;                  /* of its file; "" of what is built in */
	enum exam_output output;
	struct exam_field text, target, choice, prefix, description;
	struct exam_field shot_text, shot_target, shot_choice, shot_prefix; /* of examples */
	const char *target_delimiter, *shot_target_delimiter, *shot_delimiter, *fewshot_delimiter;
	const struct exam_function *process_docs, *process_results;
	const struct exam_own *own;    /* instead; or NULL */
	json_t *docs;                  /* rows that are judged, processed */
	json_t *pool;                  /* rows that examples are drawn from, or NULL */
	bool first_n, own_rows;        /* examples in order; they may be the row itself, which is left out */
	int num_fewshot, repeats;
	struct exam_metric metric[EXAM_METRICS];
	size_t n_metrics;
	struct exam_filter *filter[EXAM_FILTERS];
	size_t n_filters;
	size_t multiple_target;        /* doc_to_target gives a list: its length in the first row */
	bool multiple_input;           /* doc_to_text is which of the choices, each of which is a context */
	struct arena mem;
};

struct exam_group {
	const char *name, *alias;
	json_t *config;
	const char **child;            /* [n_children] names of tasks and groups */
	size_t n_children;
};

struct exams {
	struct exam *items;            /* [n] each once, in the order in which they were named */
	size_t n;
	struct exam_group *groups;     /* [n_groups] members before the groups that hold them */
	size_t n_groups;
	struct arena mem;
};

struct exam_source {
	const char *data;              /* --task-data: where rows are, or NULL; see exam_data.c */
	int64_t num_fewshot;           /* in place of the configs', which may not be 0; −1: theirs */
	json_t *docs;                  /* rows that are at hand, instead; or NULL */
	const struct exam_own *own;    /* of these; or NULL */
};

int exams_open(struct exams *t, const char *const *names, size_t n, const struct exam_source *from, struct err *e);
void exams_release(struct exams *t);
/* All that is built in, "arc_challenge arc_easy …", groups and tags too; new, mem_free. */
char *exams_builtin(void);

/* --- rows to requests --- */

struct exam_how {
	const struct text_codec *codec;
	const char *system_instruction; /* or NULL */
	bool apply_chat_template, fewshot_as_multiturn;
	uint64_t seed;                 /* of drawn examples: lm-eval's is 1234 */
	int64_t limit;                 /* the first rows; 0: all */
};

struct exam_request {
	size_t doc, index;             /* of the row; of its requests */
	/* the latter NULL where an answer is generated; rolling: the text, no context */
	const char *context, *continuation;
	/* what came of it: */
	double logprob;
	bool greedy;                   /* the continuation is what the model itself would have said */
	json_t *answers;               /* [repeats] texts, of answers that are generated */
	size_t n_cut;                  /* of its answers, those that were still going on at the limit of tokens */
	size_t left_out;               /* tokens of the context's beginning for which there was no room */
};

struct exam_asked {
	const struct exam *task;
	struct exam_request *items;    /* in the order of rows */
	size_t n, n_docs;
	struct arena mem;
};

int exam_ask(const struct exam *t, const struct exam_how *how, struct exam_asked *out, struct err *e);
/* What is asked of some rows alone, as it was asked: texts are a's and must outlive it. */
void exam_asked_some(const struct exam_asked *a, const size_t *rows, size_t n, struct exam_asked *out);
void exam_asked_release(struct exam_asked *a);

/* --- requests to replies --- */

struct exam_subject {                  /* borrowed */
	struct model *model;
	const struct overlay *overlay; /* or NULL */
	struct device *device;
};

struct exam_run_options {
	int32_t max_length;            /* tokens of a context with what follows it; at most the model's positions */
	int32_t micro_batch_tokens;
	const json_t *gen_kwargs;      /* over the configs', or NULL */
	uint64_t seed;                 /* of answers that are drawn */
	int (*progress)(void *ctx, const char *doing, size_t done, size_t total); /* requests; other than 0 ends it */
	void *ctx;
	/* summed up: */
	int64_t tokens, scored_tokens, new_tokens;
	double flops, int_ops;
};

/* All requests of these tasks, shared beginnings computed once. */
int exam_run(const struct exam_subject *s, struct exam_asked *const *asked, size_t n, struct exam_run_options *o,
             struct err *e);

struct exam_forecast {
	double score_seconds, answer_seconds, start_seconds; /* answers as long as may be; start: taking memory */
	double spare_seconds;          /* of answer_seconds: if all answers end at once, it is not taken */
	double flops, int_ops;         /* all operations; of them, those in int8 */
	size_t bytes;                  /* of work space and caches, the most that a task takes */
	size_t requests;
	int64_t tokens, new_tokens;    /* as exam_run_options', new ones at most */
	int64_t computed_tokens;       /* of those that are scored, shared beginnings once */
	uint8_t *token;                /* [V] 1 where it is read; mem_free, on errors too */
};
/* What exam_run would take; a little of it is timed. */
int exam_forecast(const struct exam_subject *s, struct exam_asked *const *asked, size_t n, struct exam_run_options *o,
                  struct exam_forecast *f, struct err *e);

/* --- replies to numbers --- */

struct exam_score {
	const char *metric, *filter;   /* "acc", "none" */
	struct estimate value;         /* its interval is NAN where lm-eval has no error of it */
	bool higher_is_better, has_error;
};

struct exam_scores {
	const struct exam_asked *asked;
	struct exam_score *items;      /* [n] */
	size_t n;
	json_t ***metrics;             /* [filters][docs] {metric: a number, or a list that is aggregated} */
	json_t ***filtered;            /* [filters][docs] the answer after the filter; NULL of log-probabilities */
	size_t *fell_back;             /* [filters] answers in which a filter found nothing */
	size_t n_filters, n_cut, n_left_out, n_answers;
	struct arena mem;
};

int exam_score(const struct exam_asked *a, struct exam_scores *out, struct err *e);
void exam_scores_release(struct exam_scores *s);
const char *exam_filter_name(const struct exam_filter *f);

/* A group's scores of its tasks': the mean, weighted by rows where the config says so. items: [n] those of all tasks.
 * New scores into *out [*n_out], of mem. */
int exam_group_score(const struct exams *t, const struct exam_group *g, const struct exam_scores *items,
                     struct arena *mem, struct exam_score **out, size_t *n_out, struct err *e);

/* --- lm-eval's files --- */

/* A line of samples_TASK.jsonl: filter f, row i; new. */
json_t *exam_sample(const struct exam_scores *s, size_t f, size_t i, struct err *e);
/* results, groups, group_subtasks, configs, versions, n-shot, higher_is_better, n-samples; new. */
json_t *exam_results(const struct exams *t, const struct exam_scores *scores, struct err *e);

#endif
