/* recipe: everything that decides a tuning run, as one table of options (parsing, --help, YAML, recipe.json, docs).
 * Methods and objectives bring their own options into it (base/opt.h).
 *
 * A recipe written into the run directory is complete: resume reads nothing else. What does not change a bit of the
 * result (threads, --memory, how often to save or to log) may differ when a run is resumed; everything else may not. */
#ifndef TRAIN_RECIPE_H
#define TRAIN_RECIPE_H

#include "base/buf.h"
#include "base/opt.h"
#include "kernel/kernels.h"
#include "model/four_bit.h"
#include "train/method.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/tensorboard.h"

struct speeds;
struct ranks;

struct recipe {
	const char *model, *data, *eval_data, *out;
	/* of a model from nothing (RECIPE_NEW_OPTS), instead of `model`: its config.json and its tokenizer */
	const char *config, *tokenizer;
	int64_t mup_base_width;                                        /* 0: no muP */
	int64_t sample_steps, sample_tokens, ratio_steps;
	const char *sample_prompt, *rampup_batch_size;
	bool overwrite;
	const char *adapter, *reference;
	bool new_adapter;
	const char *method, *objective, *optim;                        /* rows of their tables */
	/* of OPT_ROWS: what each row of the tables brings */
	void **method_options, **objective_options, **optim_options;
	double learning_rate;                                          /* NAN: the method's own default */
	double num_train_epochs;
	/* unset micro_batch_tokens: 1,024 or max_length */
	int64_t max_steps, batch_size, accumulation, micro_batch_tokens, max_length;
	int64_t warmup_steps;                                          /* OPT_UNSET_INT: warmup_ratio decides */
	double warmup_ratio, decay_ratio;
	const char *lr_scheduler_type, *lr_decay_type;                 /* type NULL: what the optimizer wants */
	int64_t lr_timescale;                                          /* OPT_UNSET_INT: the warm-up's steps */
	double lr_power;
	double weight_decay, max_grad_norm, min_lr_ratio, ema_decay, z_loss, spike_threshold;
	int64_t spike_window, spike_rewind_steps;
	const char *ema_weights;
	double router_aux_loss_coef;                                   /* NAN: what the model's config.json says */
	int64_t seed;
	const char *sampling;                                          /* NULL: the objective's own */
	bool packing, apply_chat_template, gradient_checkpointing;
	const char *activations;
	/* eval_, save_steps, limit: OPT_UNSET_INT */
	int64_t eval_steps, save_steps, logging_steps, save_total_limit, early_stopping_patience;
	bool load_best_model_at_end, eval_on_start, tensorboard, forgetting, safety;
	const char *retain, *replay, *new_tokens, *instruction_data;
	double instruction_ratio, instruction_start;
	double replay_ratio, kl_to_base, l2_sp, ewc, layer_lr_decay;
	const char *report_to;
	int64_t eval_tokens;                                           /* of shards */
	size_t memory;                                                 /* 0: no limit */
	const char *student_layers;                                    /* model/keep_layers.h, or NULL */
	const char *qat, *qat_imatrix;                                 /* trainer_qat.c; or NULL */
	int64_t qat_start_step;
	bool qat_range_learning;                                       /* trainer_ranges.c */
	double rank_timeout;                                           /* seconds */
	int64_t zero_stage;                                            /* 1, 2, 3 (trainer_ranks.c, trainer_zero3.c) */
	/* no option: of this machine, borrowed; what --memory has recomputed is chosen by it; or NULL */
	const struct speeds *speeds;
	struct ranks *ranks;                                           /* no option: who trains with it; or NULL */
	/* "f32", "int8", "auto" (recipe_resolve, recipe_settle) */
	const char *compute;
	struct four_bit_options four_bit;
};

/* The rows, for a struct s whose member f is the recipe. */
#define RECIPE_OPTS(s, f) \
	OPT_GROUP("What to do"), \
		{ OPT_TYPE_STRING, \
		  "model", \
		  NULL, \
		  offsetof(s, f.model), \
		  NULL, \
		  0, \
		  0, \
		  NULL, \
		  "MODEL", \
		  "a GGUF file or a Hugging Face folder; or the first word of the command" }, \
		{ OPT_TYPE_STRING, \
		  "data", \
		  "train-data", \
		  offsetof(s, f.data), \
		  NULL, \
		  0, \
		  0, \
		  NULL, \
		  "FILE", \
		  "training rows: JSONL, a JSON array, .csv, .tsv; a .txt is one document; .gz, or a folder; " \
		  "token shards" }, \
		OPT_STRING("eval-data", s, f.eval_data, NULL, "FILE", "rows to evaluate on while training"), \
		{ OPT_TYPE_STRING, \
		  "out", \
		  "output-dir", \
		  offsetof(s, f.out), \
		  NULL, \
		  0, \
		  0, \
		  NULL, \
		  "DIR", \
		  "the run directory; the result lies directly in it" }, \
		OPT_FLAG("overwrite", s, f.overwrite, "false", "replace what a run left in DIR"), \
		OPT_STRING("adapter", s, f.adapter, NULL, "PATH", \
	                   "an adapter to go on with; with --new-adapter what lies under the new one, as it is"), \
		OPT_FLAG("new-adapter", s, f.new_adapter, "false", \
	                 "train a new adapter over the one of --adapter, which stays; the result has both"), \
		OPT_STRING("reference", s, f.reference, "start", "start|base|PATH", \
	                   "of objectives beside a reference: the run's own start, --adapter included; base, the " \
	                   "model without what is trained; another model, or an adapter's folder"), \
		OPT_PICK("method", s, f.method, method_rows, "what is trained"), \
		OPT_PICK("objective", s, f.objective, objective_rows, "what is trained on"), \
		OPT_CHOICE("compute", s, f.compute, "auto", "auto|f32|int8", \
	                   "arithmetic of products with frozen quantized matrices, forward and for gradients; int8: " \
	                   "not where all weights are trained; auto: int8 where this processor is fast in it"), \
		FOUR_BIT_OPTS(s, f.four_bit), \
		OPT_ROWS("method", s, f.method_options, method_rows), \
		OPT_ROWS("objective", s, f.objective_options, objective_rows), \
		OPT_GROUP("Data"), \
		{ OPT_TYPE_INT, \
		  "max-length", \
		  "max-seq-length", \
		  offsetof(s, f.max_length), \
		  "1024", \
		  2, \
		  1 << 20, \
		  NULL, \
		  "N", \
		  "longest document in tokens; longer text is cut into several" }, \
		OPT_STRING("new-tokens", s, f.new_tokens, NULL, "LIST|@FILE", \
	                   "special tokens that the model does not have, as '<a>,<b>', or one on each line of FILE: " \
	                   "their rows are trained too, and the result has their tokenizer"), \
		OPT_FLAG("packing", s, f.packing, "false", "join documents into rows of exactly max-length tokens"), \
		OPT_FLAG("apply-chat-template", s, f.apply_chat_template, "false", \
	                 "query,choices,gold rows: the query is the user's turn"), \
		OPT_CHOICE("train-sampling-strategy", s, f.sampling, NULL, "random|sequential", \
	                   "order of the rows: another one each epoch, or that of the file (default: random; " \
	                   "kto's is sequential)"), \
		OPT_INT("seed", s, f.seed, "42", 0, 9007199254740991.0, \
	                "of the order of rows, the adapter's start and dropout"), \
		OPT_GROUP("Optimization"), \
		OPT_PICK("optim", s, f.optim, optimizer_rows, "how weights follow gradients"), \
		{ OPT_TYPE_FLOAT, \
		  "learning-rate", \
		  "lr", \
		  offsetof(s, f.learning_rate), \
		  NULL, \
		  0, \
		  1e3, \
		  NULL, \
		  "X", \
		  "peak learning rate (default: the method's, as the optimizer wants it)" }, \
		{ OPT_TYPE_FLOAT, \
		  "num-train-epochs", \
		  "epochs", \
		  offsetof(s, f.num_train_epochs), \
		  "1", \
		  0, \
		  1e6, \
		  NULL, \
		  "X", \
		  "times through the data" }, \
		OPT_INT("max-steps", s, f.max_steps, "-1", -1, 1e12, \
	                "steps; above 0 it overrides epochs and repeats the data"), \
		{ OPT_TYPE_INT, "per-device-train-batch-size", \
		  "batch-size", offsetof(s, f.batch_size), \
		  "8",          1, \
		  1 << 24,      NULL, \
		  "N",          "documents" }, \
		OPT_INT("gradient-accumulation-steps", s, f.accumulation, "1", 1, 1 << 24, \
	                "times as many documents in a step; 4x1 and 1x4 are the same"), \
		OPT_STRING("rampup-batch-size", s, f.rampup_batch_size, NULL, "START,INCREMENT,SAMPLES", \
	                   "of token shards: a step grows from START windows by INCREMENT over SAMPLES windows"), \
		OPT_CHOICE("lr-scheduler-type", s, f.lr_scheduler_type, NULL, SCHEDULE_TYPES, \
	                   "course of the learning rate after the warm-up (default: linear; " \
	                   "schedule_free_adamw's is constant)"), \
		OPT_FLOAT("warmup-ratio", s, f.warmup_ratio, "0.03", 0, 1, \
	                  "part of the steps in which the rate rises from 0"), \
		OPT_INT("warmup-steps", s, f.warmup_steps, NULL, 0, 1e12, \
	                "the same as a number of steps; overrides the ratio"), \
		OPT_FLOAT("decay-ratio", s, f.decay_ratio, "0.2", 0, 1, \
	                  "wsd: part of the steps in which the rate falls"), \
		OPT_CHOICE("lr-decay-type", s, f.lr_decay_type, "cosine", SCHEDULE_DECAYS, "wsd: how it falls"), \
		OPT_FLOAT("lr-power", s, f.lr_power, "1", 1e-6, 1e3, "polynomial: the power by which the rate falls"), \
		OPT_INT("lr-timescale", s, f.lr_timescale, NULL, 1, 1e12, \
	                "inverse_sqrt: steps in which the rate falls to 0.7 (default: the warm-up's, or 10000)"), \
		OPT_FLOAT("min-lr-ratio", s, f.min_lr_ratio, "0", 0, 1, "where the rate ends, as a part of its peak"), \
		OPT_FLOAT("weight-decay", s, f.weight_decay, "0", 0, 1e3, \
	                  "decoupled, of matrices alone (not norms and biases)"), \
		OPT_FLOAT("max-grad-norm", s, f.max_grad_norm, "1", 0, 1e9, \
	                  "clip the gradient to this norm; 0: never"), \
		OPT_FLOAT("ema-decay", s, f.ema_decay, "0", 0, 0.9999999, \
	                  "keep an average of the weights, ema + (1 - X)(w - ema) after each step; 0: none"), \
		OPT_CHOICE("ema-weights", s, f.ema_weights, "result", "result|beside", \
	                   "the average is evaluated and is the result, or lies in DIR/ema beside it"), \
		OPT_FLOAT("z-loss", s, f.z_loss, "0", 0, 1e3, \
	                  "X times the squared log of the softmax's sum joins a token's loss; PaLM's is 1e-4"), \
		OPT_FLOAT("spike-threshold", s, f.spike_threshold, "0", 0, 1e6, \
	                  "a loss so many deviations above the last ones: back, and past those rows; 0: never"), \
		OPT_INT("spike-window", s, f.spike_window, "100", 2, 1e6, "how many losses those are"), \
		OPT_INT("spike-rewind-steps", s, f.spike_rewind_steps, "100", 1, 1e9, \
	                "back to the last step that is a multiple of it; there is a checkpoint of each"), \
		OPT_FLOAT("router-aux-loss-coef", s, f.router_aux_loss_coef, NULL, 0, 1e6, \
	                  "mixtures of experts: how much the loss that balances experts counts; 0: not (default: the " \
	                  "model's, where its config.json has output_router_logits)"), \
		OPT_ROWS("optim", s, f.optim_options, optimizer_rows), \
		OPT_GROUP("Evaluating, saving, logging"), \
		OPT_INT("eval-steps", s, f.eval_steps, NULL, 0, 1e12, \
	                "evaluate every N steps and at the end (default: every epoch; 0: at the end)"), \
		OPT_INT("eval-tokens", s, f.eval_tokens, "262144", 2, 1e12, \
	                "of token shards: evaluate on at most so many tokens of those held out, evenly spread"), \
		OPT_FLAG("eval-on-start", s, f.eval_on_start, "true", \
	                 "evaluate before the first step too, so that the gain has a start"), \
		OPT_INT("save-steps", s, f.save_steps, NULL, 0, 1e12, \
	                "checkpoint every N steps; 0: never (default: as often as costs 2 % of the time)"), \
		OPT_INT("save-total-limit", s, f.save_total_limit, NULL, 1, 1e9, \
	                "checkpoints to keep (default: all with --save-steps, else 2)"), \
		OPT_INT("logging-steps", s, f.logging_steps, "1", 1, 1e12, "a line of metrics.jsonl every N steps"), \
		OPT_INT("early-stopping-patience", s, f.early_stopping_patience, "0", 0, 1e9, \
	                "stop after N evaluations without a lower eval_loss; 0: never"), \
		OPT_FLAG("load-best-model-at-end", s, f.load_best_model_at_end, "false", \
	                 "the result is the state with the lowest eval_loss"), \
		OPT_GROUP("Instructions among texts"), \
		OPT_STRING("instruction-data", s, f.instruction_data, NULL, "FILE", \
	                   "rows of questions and answers among the windows of token shards"), \
		OPT_FLOAT("instruction-ratio", s, f.instruction_ratio, "0.1", 1e-6, 0.99, \
	                  "the share of windows that are such rows"), \
		OPT_FLOAT("instruction-start", s, f.instruction_start, "0", 0, 1, \
	                  "they begin after this share of the steps"), \
		OPT_GROUP("Forgetting"), \
		OPT_FLAG("forgetting", s, f.forgetting, "true", \
	                 "measure at the end how far the model has moved on texts of its own"), \
		OPT_FLAG("safety", s, f.safety, "true", \
	                 "then also what it refuses, before and after, where the run is long enough"), \
		OPT_STRING("retain", s, f.retain, NULL, "FILE", \
	                   "rows of what shall not be forgotten: text, answers or choices"), \
		OPT_STRING("replay", s, f.replay, NULL, "FILE", \
	                   "general rows, as text or answers, that are mixed into those to learn from"), \
		OPT_FLOAT("replay-ratio", s, f.replay_ratio, "0.1", 1e-6, 0.99, \
	                  "the share of --replay's rows in all"), \
		OPT_FLOAT("kl-to-base", s, f.kl_to_base, "0", 0, 1e9, \
	                  "X times KL(base || tuned), the mean over the tokens of the prompts, joins the loss"), \
		OPT_FLOAT("l2-sp", s, f.l2_sp, "0", 0, 1e9, \
	                  "holds what is trained to its start: X/2 times the squared distance joins the loss"), \
		OPT_FLOAT("ewc", s, f.ewc, "0", 0, 1e12, \
	                  "the same, each number by what it matters to --retain (elastic weight consolidation)"), \
		OPT_FLOAT("layer-lr-decay", s, f.layer_lr_decay, "1", 1e-6, 1, \
	                  "times the rate for each layer from the last one down; embeddings have the lowest"), \
		OPT_STRING("student-layers", s, f.student_layers, NULL, "LIST|N", \
	                   "of --objective distill: what is trained begins as these layers of the model, as 0,2,5, " \
	                   "or so many evenly spread; the teacher is the whole one"), \
		OPT_GROUP("Trained for its quantized form"), \
		OPT_STRING("qat", s, f.qat, NULL, "TYPE", \
	                   "computes with what a file of that type has of the weights: q4_0, q4_k, q8_0, mxfp4 or " \
	                   "another of quantize's; the result is that file"), \
		OPT_INT("qat-start-step", s, f.qat_start_step, "1", 1, 1e12, \
	                "the first step that computes so; those before it train as usual"), \
		OPT_STRING("qat-imatrix", s, f.qat_imatrix, NULL, "FILE", \
	                   "which columns matter, as quantize's --imatrix"), \
		OPT_FLAG("qat-range-learning", s, f.qat_range_learning, "false", \
	                 "trains the scales of blocks too: of q4_0, q5_0 and iq4_nl, --method full"), \
		OPT_GROUP("Logging elsewhere"), \
		OPT_FLAG("tensorboard", s, f.tensorboard, "false", \
	                 "also write the metrics as " TENSORBOARD_FILE " in the run directory"), \
		OPT_CHOICE("report-to", s, f.report_to, "none", "none|tensorboard", \
	                   "as transformers has it: tensorboard is --tensorboard; nothing is ever sent"), \
		OPT_GROUP("Memory"), \
		OPT_INT("micro-batch-tokens", s, f.micro_batch_tokens, NULL, 2, 1 << 22, \
	                "tokens computed at once; part of the result (default: 1024, or max-length if more, for each " \
	                "document of a row that belong together)"), \
		OPT_BYTES("memory", s, f.memory, NULL, \
	                  "limit of the process's memory, as 2G; changes what is recomputed, not the result"), \
		OPT_FLOAT("rank-timeout", s, f.rank_timeout, "60", 1, 1e6, \
	                  "under mpirun: a rank that is silent for so many seconds ends the run"), \
		OPT_INT("zero-stage", s, f.zero_stage, "1", 1, 3, \
	                "under mpirun a rank keeps 1 its optimizer state, 2 and gradients, 3 and weights"), \
		OPT_FLAG("gradient-checkpointing", s, f.gradient_checkpointing, "false", \
	                 "recompute all that can be; --memory recomputes only what it must"), \
		OPT_CHOICE("activations", s, f.activations, "f32", "f32|8bit", \
	                   "how activations wait for the backward pass; 8bit: in a third of the memory, gradients " \
	                   "are near, and --memory recomputes nothing")

/* Those of pretraining alone. Of a struct that is all zero they are at their defaults. */
#define RECIPE_NEW_OPTS(s, f) \
	OPT_GROUP("A model from nothing"), \
		OPT_STRING("config", s, f.config, NULL, "FILE", \
	                   "a config.json, or a folder with one: a model of this shape begins anew, by --seed"), \
		OPT_STRING("tokenizer", s, f.tokenizer, NULL, "PATH", \
	                   "its tokenizer: a folder, a tokenizer.json, a GGUF"), \
		OPT_INT("mup-base-width", s, f.mup_base_width, "0", 0, 1 << 24, \
	                "muP: the width that the learning rate was tuned for; 0: no muP"), \
		OPT_GROUP("While it learns"), \
		OPT_INT("sample-steps", s, f.sample_steps, "0", 0, 1e12, \
	                "let it write a text every N steps; 0: never"), \
		OPT_INT("sample-tokens", s, f.sample_tokens, "0", 0, 1 << 20, "tokens of such a text; 0: 64"), \
		OPT_STRING("sample-prompt", s, f.sample_prompt, NULL, "TEXT", \
	                   "what it goes on from (default: the beginning of a document); alone: four times"), \
		OPT_INT("update-ratio-steps", s, f.ratio_steps, "0", 0, 1e12, \
	                "every N steps tell by how much of itself each layer moves; 0: never")

extern const struct opt recipe_opts[];   /* of struct recipe itself, all of them */

/* Fills what depends on other fields (learning rate, micro-batch, limits) and refuses what contradicts itself. */
int recipe_resolve(struct recipe *r, struct err *e);
double recipe_method_rate(const struct recipe *r); /* the method's own learning rate, as its options are */
/* What was given and nothing uses, as opt_unused says it; appends nothing where all is used. */
void recipe_unused(const struct recipe *r, const struct opt_parse *p, struct buf *sentence);
/* auto becomes what it is on this machine and of this method, so that a run that is resumed elsewhere keeps its
 * arithmetic. */
void recipe_settle(struct recipe *r, const struct kernels *k);
/* The whole recipe as JSON; recipe_load reads it back (strings live in p until opt_release). */
json_t *recipe_record(const struct recipe *r);
int recipe_load(struct recipe *r, struct opt_parse *p, const json_t *record, struct err *e);
/* Why two recipes (settled) cannot be trained on one model in memory, or NULL: they can. */
const char *recipe_apart(const struct recipe *a, const struct recipe *b);
/* trainer_qat.c: refuses what does not go with --qat. */
int qat_check(const struct recipe *r, struct err *e);
/* Refuses, naming the option, when two recipes would not give the same bits. */
int recipe_same_result(const json_t *before, const json_t *now, struct err *e);

#endif
