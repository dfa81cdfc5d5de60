/* eval_tasks: `kungfu eval MODEL --tasks …`: lm-eval's tasks (task/task.h), their scores, and its files. */
#ifndef CMD_EVAL_TASKS_H
#define CMD_EVAL_TASKS_H

#include "cmd/eval_suite.h"

struct eval_tasks_options {
	const char *tasks, *data, *output_path, *gen_kwargs, *system_instruction, *multiturn;
	bool log_samples;
};

#define EVAL_TASKS_OPTS(s, f) \
	OPT_GROUP("Tasks of lm-eval"), \
		OPT_STRING("tasks", s, f.tasks, NULL, "LIST", \
	                   "instead of --data: names, YAML files, folders of them, by commas; list: tells the names"), \
		OPT_STRING("task-data", s, f.data, NULL, "DIR", \
	                   "where their rows are, TASK/SPLIT.jsonl (or .json, .csv, .tsv)"), \
		OPT_STRING("output-path", s, f.output_path, NULL, "DIR", \
	                   "keeps results_TIME.json there, in a folder of the model's name"), \
		OPT_FLAG("log-samples", s, f.log_samples, "false", \
	                 "beside it what came of every row, samples_TASK_TIME.jsonl"), \
		OPT_STRING("gen-kwargs", s, f.gen_kwargs, NULL, "LIST", \
	                   "over the tasks' generation_kwargs: key=value,key=value, or a JSON object"), \
		OPT_STRING("system-instruction", s, f.system_instruction, NULL, "TEXT", \
	                   "before each task's description; the system's turn of a template"), \
		OPT_CHOICE("fewshot-as-multiturn", s, f.multiturn, "auto", "auto|true|false", \
	                   "examples are turns of their own in a template's prompt; auto: with --apply-chat-template")

struct eval_tasks {
	const struct eval_tasks_options *o;
	const struct eval_suite_options *suite; /* instead of tasks that are named; or NULL */
	int64_t max_new_tokens;        /* of the suite's answers, or OPT_UNSET_INT */
	const char *compute;
	const char *model, *adapter;   /* as they were named; or NULL */
	int64_t num_fewshot, limit, max_length, micro_batch_tokens, seed; /* OPT_UNSET_INT where nothing is said */
	bool apply_chat_template;
};

/* Names that are built in, to stdout. */
void eval_tasks_list(const struct app *app);
int eval_tasks(struct app *app, const struct eval_tasks *t, struct loaded *l, struct err *e);

#endif
