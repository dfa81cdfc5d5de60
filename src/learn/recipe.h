/* recipe: everything that decides a tuning run, as one table of options (parsing, --help, YAML, run.json, docs).
 * A recipe written into the run directory is complete: resume reads nothing else. */
#ifndef LEARN_RECIPE_H
#define LEARN_RECIPE_H

#include "base/opt.h"

struct recipe {
	const char *model, *data, *eval_data, *out, *method;          /* method: lora | full */
	bool overwrite;
	int64_t lora_r;
	double lora_alpha, lora_dropout;
	bool use_rslora;
	const char *target_modules, *modules_to_save;
	double learning_rate;                                          /* NAN: the method's own default */
	double num_train_epochs;
	int64_t max_steps, batch_size, accumulation, micro_batch_tokens, max_length; /* unset micro_batch_tokens: 1,024 or max_length */
	int64_t warmup_steps;
	double warmup_ratio;
	const char *lr_scheduler_type;
	double weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm, min_lr_ratio;
	int64_t seed;
	bool packing, apply_chat_template, gradient_checkpointing;
	int64_t eval_steps, save_steps, logging_steps, save_total_limit, early_stopping_patience;
	bool load_best_model_at_end;
	size_t memory;                                                 /* 0: no limit */
	int64_t threads;
	const char *compute;                                           /* "f32" */
	const char *objective;                                         /* "sft" */
};

extern const struct opt recipe_opts[];

#endif
