/* reward: what answers are worth: rules that can be checked, a program, a model, or several of them by weights.
 *
 *     reward of an answer = Σ weight · reward by each
 *
 * One that weighs 0 is measured only: what a policy does not learn from shows whether it still means what was meant.
 * A rule is a row of the table in reward_rule.c: a function of the answer, of what its row says is right (answer,
 * ground_truth, solution), and of options. Programs, models and people's comparisons have files of their own
 * (reward_command.h, reward_model.h, reward_feedback.h). */
#ifndef TRAIN_REWARD_H
#define TRAIN_REWARD_H

#include "base/opt.h"
#include "data/rows.h"
#include "model/model.h"
#include "op/device.h"
#include "template/template.h"

struct reward_options {
	const char *rules, *weights, *regex, *schema, *command, *model, *template_, *feedback;
	int64_t repetition_ngram, soft_punish_cache;
	double timeout;
	size_t memory;
};

#define REWARD_OPTS(s, f) \
	OPT_STRING("reward", s, f.rules, NULL, "LIST", \
	           "rules by which answers are judged, as 'exact,length': exact, number, regex, json-schema, length, " \
	           "repetition"), \
		OPT_STRING("reward-weights", s, f.weights, NULL, "LIST", \
	                   "how much each counts, as '1,0.2': rules in their order, model, feedback, program; 0: " \
	                   "only measured (default: 1 each)"), \
		OPT_STRING("reward-regex", s, f.regex, NULL, "PATTERN", "regex: 1 where it is found in the answer"), \
		OPT_STRING("reward-schema", s, f.schema, NULL, "FILE", "json-schema: what the answer has to fit"), \
		OPT_INT("reward-ngram", s, f.repetition_ngram, "3", 1, 100, "repetition: tokens that may not repeat"), \
		OPT_INT("reward-soft-cache", s, f.soft_punish_cache, NULL, 1, 1 << 20, \
	                "length: the last tokens of --max-completion-length, over which it falls to -1 (default: a " \
	                "fifth)"), \
		OPT_STRING("reward-model", s, f.model, NULL, "MODEL", \
	                   "a model with one output that says what an answer is worth, or an adapter of one"), \
		OPT_STRING("reward-template", s, f.template_, NULL, "TEXT", \
	                   "how the reward model reads them, with {prompt} and {answer} (default: its template)"), \
		OPT_STRING("reward-feedback", s, f.feedback, NULL, "FILE", \
		           "people's comparisons: a head on the model's own states is fitted to them first"), \
		OPT_STRING("reward-command", s, f.command, NULL, "COMMAND", \
	                   "a program that says it: a JSON line in, a number a line out; it is kept running"), \
		OPT_FLOAT("reward-timeout", s, f.timeout, "60", 0.01, 86400, \
	                  "seconds that the program may take for the answers of a step"), \
		OPT_BYTES("reward-memory", s, f.memory, "2G", "address space that the program may take")

struct reward_case {
	const struct row *row;         /* of the data */
	const char *text;              /* the answer's, without special tokens */
	const int32_t *ids;            /* [n] its tokens, the one that ends it included */
	int32_t n, most;               /* most: that it might have had */
	bool ended;                    /* else it was cut */
};

struct rewards;

/* Who is judged; borrowed while it is. */
struct reward_policy {
	struct model *model;           /* as its file has it */
	const struct template *chat;   /* or NULL */
	struct device *device;
	int32_t max_length;            /* of prompt and answer */
};

/* The rules alone, of options that contradict each other: −1 and a sentence. */
int reward_check(const struct reward_options *o, struct err *e);
/* policy: a copy is kept. */
int rewards_open(struct rewards **out, const struct reward_options *o, const struct reward_policy *policy,
                 struct err *e);
void rewards_close(struct rewards *r);
size_t rewards_bytes(const struct rewards *r);           /* of the reward model's weights, of feedback's pass */
size_t rewards_n(const struct rewards *r);
const char *rewards_name(const struct rewards *r, size_t i);
double rewards_weight(const struct rewards *r, size_t i);
/* Rows that a rule cannot judge: the first is named. */
int rewards_fit(const struct rewards *r, const struct rows *rows, struct err *e);
/* out[i][k]: by reward i of case k. */
int rewards_judge(struct rewards *r, const struct reward_case *c, size_t n, double *const *out, struct err *e);
/* Sum of weight · by[i]. */
double rewards_sum(const struct rewards *r, double *const *by, size_t k);

/* --- the rules --- */

struct reward_rules;   /* what they know of options: compiled patterns, a schema */
struct reward_rule {
	const char *name;
	bool right;                    /* wants to know the right answer */
	const char *wants;             /* option that it cannot do without, or NULL */
	double (*of)(const struct reward_rules *r, const struct reward_case *c, const char *right);
};
const struct reward_rule *reward_rule_find(const char *name, size_t n);
void reward_rule_names(struct buf *out);
int reward_rules_open(struct reward_rules **out, const struct reward_options *o, struct err *e);
void reward_rules_close(struct reward_rules *r);
/* The right answer of a row, a string or a number as text, in room where it is one; NULL: it has none. */
const char *reward_right(const json_t *row, char room[32]);

#endif
