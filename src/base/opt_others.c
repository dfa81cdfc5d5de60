/* opt_others: two tables. The first has names that mean the same as one of ours, with the same values; a command takes
 * those whose option it has. The second has names for what is done otherwise here. */
#include "base/opt_others.h"

#include <string.h>

#include "base/mem.h"

/* Several names of ours: the first that the command has. */
static const struct { const char *theirs, *ours[3]; } same[] = {
	/* llama.cpp, ollama */
	{ "m", { "model" } },
	{ "f", { "prompt-file" } },
	{ "file", { "prompt-file" } },
	{ "n", { "max-new-tokens" } },
	{ "predict", { "max-new-tokens" } },
	{ "n-predict", { "max-new-tokens" } },
	{ "num-predict", { "max-new-tokens" } },
	{ "max-tokens", { "max-new-tokens" } },
	{ "max-completion-tokens", { "max-new-tokens" } },
	{ "t", { "threads" } },
	{ "n-threads", { "threads" } },
	{ "num-threads", { "threads" } },
	{ "s", { "seed" } },
	{ "random-seed", { "seed" } },
	{ "temp", { "temperature" } },
	{ "typical", { "typical-p" } },
	{ "repeat-penalty", { "repetition-penalty" } },
	{ "sys", { "system" } },
	{ "system-prompt", { "system" } },
	{ "n-ctx", { "ctx-size" } },
	{ "num-ctx", { "ctx-size" } },
	{ "context-length", { "ctx-size" } },
	{ "ctk", { "cache-type-k" } },
	{ "ctv", { "cache-type-v" } },
	{ "lora", { "adapter" } },
	{ "adapter-path", { "adapter" } },
	{ "adapter-name-or-path", { "adapter" } },
	{ "lora-path", { "adapter" } },
	{ "reverse-prompt", { "stop" } },
	{ "o", { "out" } },
	{ "output", { "out" } },
	{ "outfile", { "out" } },
	/* transformers, TRL, PEFT, mlx-lm, LLaMA-Factory */
	{ "model-name-or-path", { "model" } },
	{ "model-path", { "model" } },
	{ "base-model", { "model" } },
	{ "dataset", { "data" } },
	{ "dataset-name", { "data" } },
	{ "dataset-path", { "data" } },
	{ "train-file", { "data" } },
	{ "eval-file", { "eval-data" } },
	{ "eval-dataset", { "eval-data" } },
	{ "validation-file", { "eval-data" } },
	{ "valid-data", { "eval-data" } },
	{ "lora-rank", { "lora-r" } },
	{ "rank", { "lora-r" } },
	{ "alpha", { "lora-alpha" } },
	{ "lora-target-modules", { "target-modules" } },
	{ "lora-target", { "target-modules" } },
	{ "lora-modules-to-save", { "modules-to-save" } },
	{ "peft-type", { "method" } },
	{ "finetuning-type", { "method" } },
	{ "fine-tune-type", { "method" } },
	{ "num-epochs", { "num-train-epochs" } },
	{ "n-epochs", { "num-train-epochs" } },
	{ "epoch", { "num-train-epochs" } },
	{ "iters", { "max-steps" } },
	{ "steps", { "max-steps" } },
	{ "train-batch-size", { "per-device-train-batch-size" } },
	{ "micro-batch-size", { "per-device-train-batch-size" } },
	{ "gradient-accumulation", { "gradient-accumulation-steps" } },
	{ "grad-accumulation-steps", { "gradient-accumulation-steps" } },
	{ "lr-scheduler", { "lr-scheduler-type" } },
	{ "scheduler", { "lr-scheduler-type" } },
	{ "optimizer", { "optim" } },
	{ "wd", { "weight-decay" } },
	{ "warmup", { "warmup-steps" } },
	{ "clip-grad-norm", { "max-grad-norm" } },
	{ "gradient-clipping", { "max-grad-norm" } },
	{ "dpo-beta", { "beta" } },
	{ "pref-beta", { "beta" } },
	{ "grad-checkpoint", { "gradient-checkpointing" } },
	{ "max-seq-len", { "max-length" } },
	{ "seq-len", { "max-length" } },
	{ "sequence-len", { "max-length" } },
	{ "cutoff-len", { "max-length" } },
	{ "block-size", { "max-length" } },
	{ "model-max-length", { "max-length" } },
	{ "eval-every", { "eval-steps" } },
	{ "steps-per-eval", { "eval-steps" } },
	{ "save-every", { "save-steps" } },
	{ "steps-per-report", { "logging-steps" } },
	{ "overwrite-output-dir", { "overwrite" } },
};

static const char arithmetic[] = "weights stay as their file stores them, and trained numbers are f32; --compute says "
                                 "the arithmetic";
static const char quantized[] = "a model is used as its file stores it: give a quantized GGUF file, and LoRA is QLoRA";
static const char processor[] = "it computes on the processor; there is nothing to place";
static const char masks[] = "answers alone are trained on, and text rows whole; kungfu data lint --show 1 shows it";
static const char one_go[] = "kungfu chat is the conversation, kungfu generate the single answer";
static const char resumes[] = "kungfu resume DIR goes on with a run";
static const char local[] = "nothing is fetched or sent: models and rows are files of this machine";

/* with: a name of ours that the command must have for the sentence to be right, NULL: it is of all commands. */
static const struct { const char *theirs, *with, *note; } notes[] = {
	{ "m", NULL, "the model is the word after the command, without an option" },
	{ "model", NULL, "the model is the word after the command, without an option" },
	{ "model-name-or-path", NULL, "the model is the word after the command, without an option" },
	{ "p", "system", "a chat asks at its prompt; kungfu generate MODEL -p TEXT answers one" },
	{ "prompt", "system", "a chat asks at its prompt; kungfu generate MODEL -p TEXT answers one" },
	{ "bf16", NULL, arithmetic },
	{ "fp16", NULL, arithmetic },
	{ "dtype", NULL, arithmetic },
	{ "torch-dtype", NULL, arithmetic },
	{ "load-in-4bit", NULL, quantized },
	{ "load-in-8bit", NULL, quantized },
	{ "qlora", NULL, quantized },
	{ "use-qlora", NULL, quantized },
	{ "quantization-bit", NULL, quantized },
	{ "use-peft", "method", "LoRA is what --method says unless it is told otherwise" },
	{ "device", NULL, processor },
	{ "device-map", NULL, processor },
	{ "use-cpu", NULL, processor },
	{ "ngl", NULL, processor },
	{ "gpu-layers", NULL, processor },
	{ "n-gpu-layers", NULL, processor },
	{ "fa", NULL, "attention never stores its scores; there is nothing to switch on" },
	{ "flash-attn", NULL, "attention never stores its scores; there is nothing to switch on" },
	{ "attn-implementation", NULL, "attention never stores its scores; there is nothing to switch on" },
	{ "mlock", NULL, "a model's file is mapped, and read where it is" },
	{ "no-mmap", NULL, "a model's file is mapped, and read where it is" },
	{ "i", NULL, one_go },
	{ "interactive", NULL, one_go },
	{ "cnv", NULL, one_go },
	{ "conversation", NULL, one_go },
	{ "completion-only-loss", "data", masks },
	{ "assistant-only-loss", "data", masks },
	{ "train-on-inputs", "data", masks },
	{ "train-on-prompt", "data", masks },
	{ "mask-prompt", "data", masks },
	{ "eval-strategy", "eval-steps", "--eval-steps says how often, --eval-data on what" },
	{ "evaluation-strategy", "eval-steps", "--eval-steps says how often, --eval-data on what" },
	{ "do-eval", "eval-steps", "--eval-data FILE evaluates while training" },
	{ "do-train", "eval-steps", "tune trains" },
	{ "save-strategy", "save-steps", "--save-steps says how often" },
	{ "logging-strategy", "logging-steps", "--logging-steps says how often" },
	{ "per-device-eval-batch-size", "micro-batch-tokens", "--micro-batch-tokens says how much at a time" },
	{ "eval-batch-size", "micro-batch-tokens", "--micro-batch-tokens says how much at a time" },
	{ "group-by-length", "micro-batch-tokens", "nothing is padded; there is nothing to group" },
	{ "run-name", "tensorboard", "a run's name is its folder, --out" },
	{ "logging-dir", "tensorboard",
	  "the run's folder has all its logs; --tensorboard writes the event files there" },
	{ "padding-side", NULL, "nothing is padded" },
	{ "resume-from-checkpoint", NULL, resumes },
	{ "resume", NULL, resumes },
	{ "do-sample", "temperature", "--temperature above 0 draws, 0 takes the likeliest" },
	{ "num-beams", "temperature", "there is no beam search" },
	{ "trust-remote-code", NULL, "nothing that a model's folder brings is run" },
	{ "push-to-hub", NULL, local },
	{ "hub-model-id", NULL, local },
	{ "hf-repo", NULL, local },
	{ "hf", NULL, local },
	{ "token", NULL, local },
	{ "task-type", "method", "models here are causal language models" },
};

static bool is_same(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
			return false;
	return *a == *b;
}

const struct opt *opt_find_called(const struct opt *table, const char *name)
{
	const struct opt *found = opt_find(table, name);

	for (size_t i = 0; i < ARRAY_LEN(same) && !found; i++)
		for (size_t k = 0; k < ARRAY_LEN(same[i].ours) && same[i].ours[k] && !found; k++)
			found = is_same(same[i].theirs, name) ? opt_find(table, same[i].ours[k]) : NULL;
	return found;
}

const char *opt_note_of_others(const struct opt *table, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(notes); i++)
		if (is_same(notes[i].theirs, name) && (!notes[i].with || opt_find(table, notes[i].with)))
			return notes[i].note;
	return NULL;
}

const char *opt_stray(const struct err *e)
{
	static const char begins[] = "unknown option --";
	const char *name = e->msg + strlen(begins);

	return !strncmp(e->msg, begins, strlen(begins)) && *name && !name[strcspn(name, ":, ")] ? name : NULL;
}
