/* trainer_parts: what the files trainer*.c share; nobody else includes it. */
#ifndef TRAIN_TRAINER_PARTS_H
#define TRAIN_TRAINER_PARTS_H

#include "exam/suite.h"
#include "infer/divergence.h"
#include "infer/own_texts.h"
#include "infer/scorer.h"
#include "model/model_pass.h"
#include "train/batch_ramp.h"
#include "train/grad_tree.h"
#include "train/trainer.h"
#include "train/windows.h"
#include "model/prepare.h"
#include "model/quantize_model.h"

struct dataset {
	struct rows rows;
	struct documents documents;
	const struct document **pointer;   /* [documents.n] */
	/* Where the objective wants a reference: the log-probability of each learnt token, and the first of each
	 * document. */
	float *reference;
	size_t *reference_at;              /* [documents.n] */
	size_t *group;                     /* [n_groups + 1] first document of each group, then documents.n */
	size_t n_groups, most_group;       /* the largest has most_group documents */
	char hash[33];                     /* of what the rows became: ids and which of them are learnt */
	/* Of token shards: documents and groups are made for one step at a time, and there are no rows; or NULL. */
	struct windows *windows;
};

/* What a walk over all steps finds out, ids only. */
struct dry_run {
	struct batch_cap cap;              /* the largest of every count over all micro-batches */
	int64_t most_micro;                /* micro-batches of one step */
	struct live live;                  /* sums over the steps that remain, as the next two */
	int64_t micro_batches, tokens;
	int64_t all_rows;                  /* of all steps, those that were done before too */
};

/* trainer_forgetting.c; n 0: nothing is measured */
struct forgetting {
	size_t n;
	struct own_texts texts;            /* from the start on */
	struct document *docs;             /* [n] */
	const struct document **list;      /* [n] */
	uint8_t *learn;                    /* of each of them */
	int32_t *pretended;                /* ids until the start */
	struct divergence *divergence;     /* planned at the opening */
	struct scorer *side[2];            /* of --retain, without and with what was trained; or NULL */
	size_t draw_bytes, bytes;          /* what drawing and comparing take */
	size_t weights_bytes;              /* all weights of the model, which both read */
	struct work planned, work;         /* what both would take; what comparing took */
	double draw_seconds, seconds;
};

/* trainer_safety.c; n 0: nothing is measured */
struct safety {
	size_t n;                          /* pairs of prompts */
	struct suite suite;                /* planned at the opening, as what follows */
	struct exam_asked asked[2];        /* harmless, harmful */
	int32_t max_length;                /* of a prompt with its answer */
	size_t bytes;                      /* that answering takes */
	double seconds;                    /* of both sides */
	struct work planned, work;
};

/* The loss that balances a mixture's experts (trainer_balance.c). */
struct balance {
	double coef;                       /* 0: there is none */
};

/* The prompts of a data set's documents: of[i] borrows the ids of document i. */
struct kl_prompts { struct document *of; uint8_t *learn; };

/* trainer_kl.c: of --kl-to-base; zeros where that is 0 */
struct kl {
	struct kl_prompts train, replay;
	struct forest_options forest, base_forest;
	struct dry_run dry;
	struct model_pass base, net;       /* without and with what is trained; planned at the opening */
	uint32_t base_rows;                /* of net: where the base's rows before the head come from */
	size_t width;                      /* of one */
	float *rows;                       /* [cap.targets][width] from the start on */
	const struct document **taken;     /* [trainer_global_batch] */
	int32_t *cut_work, cut_room;
	double sum, tokens;                /* of a step: Σ KL, and of how many tokens */
};

/* trainer_penalty.c; start NULL: there is none */
struct penalty {
	float *start, *fisher;             /* [params->n] the numbers as they began; what --ewc weighs, or NULL */
	double *partials;
};

/* The model, as the recipes of all that train on it want it (trainers.h). */
struct trainer_base {
	struct model model;
	char hash[33];
	struct template *chat;
	int users;
};

/* trainer_reference.c: a reference of --reference PATH; zeros: it is another */
struct reference {
	struct model model;                /* its own, where `has_model` */
	struct adapter adapter;            /* over the run's model, where `has_adapter` */
	bool has_model, has_adapter;
};

/* trainer_look.c: of an objective that looks (objective.h); scorer NULL: none does */
struct looking {
	struct scorer *scorer;
	struct dataset beside[2];          /* of the data and of the evaluation; documents.n 0: none, but their own */
	const struct document **docs;      /* [most documents of a step] */
	bool eval;                         /* it is the evaluation's that is looked at */
	struct work planned;
	double seconds;                    /* of all steps that remain, as planned */
	double start;                      /* the loss where nothing has moved, NAN: that is not known */
};

/* What a micro-batch came to; other ranks are told of it as it lies. */
struct leaf {
	struct objective_sums sums;
	struct live live;
	double tokens;
	double moved_by, ratio[2], answers[2]; /* as struct step's */
};

/* trainer_ranks.c: of a run on several ranks; ranks NULL: it is alone */
struct part {                      /* of a step's tree of gradients: a whole subtree, whose leaves one rank has */
	size_t leaf;               /* its first */
	int level, rank;           /* it has 2^level leaves */
};
struct sharing {
	struct ranks *ranks;
	size_t *first;             /* [size + 1] parameters that each updates */
	size_t *number, *piece;    /* [size + 1] where these begin in the flat buffer, in bytes; in optim's partials */
	struct part *parts;        /* [most_parts] of this step */
	size_t most_parts, n_parts, next;  /* next: of the parts, which comes next here */
	int level;                 /* of the largest subtree that one rank has in any step */
	size_t begin, end;         /* this rank's leaves of this step */
	size_t own;                /* numbers of what this rank updates */
	float *sums;               /* [most_parts][own] of every part what is ours of it */
	struct rank_transfer *come; /* [most_parts] */
	struct rank_transfer *go;  /* [size] of the subtree that is done */
	float *gradient;           /* of the last one; NULL: of this step there was none */
	size_t *leaf_at;           /* [size + 1] bytes of the leaves of this step, by rank */
	double sent, received, waited; /* before this step */
	float *passed;             /* [most_micro][passed_each] what an objective sees of each micro-batch */
	size_t passed_each;
	bool rounds;               /* ZeRO-2: leaves go round the ranks, and each goes out as it is */
	struct grad_tree owned;    /* of a step: what this rank updates, of every leaf that it has got */
};

/* trainer_zero3.c: of --zero-stage 3; on false: all weights are here */
struct zero3_event {
	uint32_t node, item;
	uint32_t from;                 /* of a fetch: before this node others read what it replaces */
};
struct zero3 {
	bool on;
	bool whole, gathered;          /* all weights are here for now; by zero3_gather */
	struct zero3_event *fetch, *drop, *done; /* by node: before it; behind it, as the next; a gradient is whole */
	size_t n_fetch, n_drop, n_done;
	size_t begun, come, dropped, gone;  /* of a round: of fetch what is on its way, and there; of drop; of done */
	struct rank_transfer *fly[2];  /* weights of the last two groups */
	struct rank_transfer *in, *out; /* gradients of the last one */
	size_t n_fly[2], n_out;
	int slot;                      /* of fly, which the last group has */
	size_t active;                 /* ranks with a micro-batch in this round: the first ones */
	bool idle;                     /* this one has none */
	struct grad_tree *trees;       /* of each parameter that this rank updates */
	/* resident: of weights what this rank updates; and beside it at most, of others and of gradients */
	size_t own_bytes, others_bytes;
	struct run_watch watch;
	struct err err;                /* why a step was given up, where messages failed */
};

/* trainer_moved.c; before NULL: it is not asked for */
struct moved {
	float *before;                     /* [params->n] */
	double *ratio, *square;            /* [n] of each layer, then of what is in none */
	int n;
};

/* trainer_qat.c: of --qat; overlay NULL: it is not asked for */
struct qat {
	struct arena mem;
	struct overlay *overlay;           /* of what is trained */
	struct quant_mix_wish wish;
	struct imatrix imatrix;
	struct quantize_how how;
	struct export_weights weights;
	struct quantize_model file;        /* as it will be written, where `listed` */
	bool listed;
	enum dtype *to;                    /* [n_weights] a weight's in the file */
	const float **columns;             /* [n_weights] how much its columns matter, or NULL */
	struct adapter_factors *pairs;     /* of LoRA */
	size_t n_pairs;
	float *memory;                     /* [numbers], then two rows of the widest for each thread */
	float **stored, *rows;             /* [n_weights] in it, NULL: as they are; the rows */
	size_t numbers, widest;
	bool made, on;                     /* stored has numbers; they have been through the file's form */
	/* trainer_ranges.c: of --qat-range-learning */
	struct overlay ranges;             /* its params are the scales, over what is trained */
	int *range;                        /* [n_weights] which of them; −1: none; NULL: not asked for */
};

/* A step while it is computed. */
struct step {
	struct step_metrics metrics;
	size_t documents, micros;          /* of the step */
	size_t document, group, micro;     /* those that are done */
	struct live live;
	struct work work;                  /* what others have computed for it (trainer.below), then all */
	/* of the first: a document that is not where the reference is, and how far off; NULL: all are */
	const struct document *moved;
	double moved_by;
	double ratio[2], answers[2];       /* of another reference: Σ log-ratio by role, and of how many */
};

struct trainer {
	double opened;                     /* clock_seconds() when trainer_open began */
	struct recipe recipe;
	struct pool *pool;
	const struct kernels *kernels;
	struct device *device;             /* where the steps run */
	struct objective_run objective;
	struct objective_maxima maxima;    /* of the documents that it makes; documents 0: it makes none */
	struct objective_plan making;      /* and what that takes */
	size_t making_resident;            /* of its memory, what is taken already */
	struct work evaluated;             /* by the objective itself */
	long repeats;                      /* steps of the same rows */
	bool (*interrupted)(void);         /* or NULL */

	struct trainer_base *base;
	struct model *model;               /* the base's, as the next two */
	const char *model_hash;
	const struct template *chat;
	struct dataset train, eval, retain, replay;
	bool has_eval;

	/* What is learnt: an adapter's parameters or copies of all weights. */
	struct adapter adapter;
	bool has_adapter, goes_on;         /* goes_on: it is not new (--adapter) */
	char adapter_hash[33];             /* of the numbers of --adapter; "": there is none */
	struct overlay full;
	struct params joined;              /* with the objective's own, where it has some */
	struct overlay *overlay;           /* the topmost: the objective's, the adapter's, or &full */
	struct params *params;             /* of all that is trained */
	struct optim optim;                /* its memory from trainer_start on */

	struct balance balance;
	struct kl kl;
	/* names of what is told of a step, where that is more than the objective's */
	const char *told[OBJECTIVE_METRICS + 1];
	struct schedule schedule;
	size_t global;                     /* groups of a step at most */
	struct batch_ramp ramp;            /* of windows: how many a step has */
	bool sequential;                   /* in the order of the file */
	int32_t max_length;                /* of a document, virtual tokens not counted */
	struct forest_options forest;
	struct past_keys past;             /* trainer_past.c: n 0: there is none */
	size_t past_start_bytes;           /* while they are computed */
	struct dry_run dry;
	struct trainer_plan totals;

	struct model_pass net;             /* planned from trainer_open on, memory is taken at the start */
	/* Of several trainers beside each other (trainers.h): memory that their passes take turns in, or NULL; the
	 * blocks below that one are not in `net`, whose tensor `below` is what they make of a micro-batch; 0: all
	 * are. */
	struct run_memory *memory;
	int first_block;
	uint32_t below;
	size_t owned_bytes;                /* weights that stand in memory of our own already */

	/* From trainer_start on. */
	bool started;
	struct trace *trace;               /* or NULL */
	struct grad_tree gradients;
	const struct document **taken;     /* [trainer_global_batch] the documents of this step */
	const struct document **asked;     /* and as the data has them, where the objective makes others of them */
	size_t *taken_group;               /* [global] and their groups, numbers of `train` */
	size_t *cuts;                      /* [most_micro] documents */
	int32_t *cut_work, cut_room;       /* the packer's scratch for cut_room documents */
	struct scorer *scorer;
	double *eval_sums;
	struct eval_row *eval_rows;        /* [documents of the evaluation] of the last one, a group each */
	size_t *eval_row;                  /* the group of the document that it begins with */
	long step;                         /* done */
	long skipped;                      /* steps' rows that were left out: a step has those of step + skipped */
	bool shown;                        /* the weights are those that count, not those that steps change */
	struct step now;
	struct objective_sums sums;        /* of a micro-batch, then of this step; or of an evaluation */
	struct leaf *leaves;               /* [most_micro] of this step */
	struct sharing sharing;
	struct zero3 zero3;
	int32_t most_docs;                 /* of a micro-batch, of the evaluation's too */
	int64_t *label_at;                 /* [most_docs] where the next number of each document is */
	struct reference other;            /* that is not the run's start */
	struct scorer *reference;          /* planned at the opening, gone once the reference is made */
	size_t reference_bytes;            /* what it takes then */
	struct work reference_work;        /* what making it took */
	struct synced synced;              /* trainer_synced.c: the scorer above stays then */
	double synced_seconds;             /* of asking it in all steps that remain, as planned */
	struct work fed;                   /* what the adapter's start took of the model (trainer_feed.c) */
	struct dataset *keeping;           /* whose reference a scorer makes now; NULL: it does not */
	struct looking looking;
	struct forgetting forgetting;
	struct safety safety;
	struct penalty penalty;
	struct moved moved;
	struct qat qat;
	struct work sampled;               /* texts for whoever watches */
	double fisher_rows;                /* of the documents that it is made of */

	/* the learning rate that the caller wants for the next step, NAN: the schedule's */
	double next_rate;
	float *weights;                    /* [train.n_groups + replay.n_groups] how much each counts; NULL: 1 */
};

/* trainer.c: as trainer_open_at, on the model that another has opened, and in memory that their passes take turns in;
 * NULL: of its own. Both recipes can share a model (recipe_apart). */
int trainer_open_among(struct trainer **t, const struct recipe *r, long first, struct trainer *beside,
                       struct run_memory *memory, struct device *d, struct err *e);
/* trainer.c: the parts of trainer_start: what is made of the model as it is, then the memory of the steps. And of
 * trainer_step, between mem_guard_arm and mem_guard_disarm but for the first: the step's documents; the next
 * micro-batch (now.micro) into the pass's batch, which then runs; into the sums; all of them, of other ranks too, and
 * what is computed besides (−1: given up); and the update. What is given up is forgotten and done again. */
int trainer_begin(struct trainer *t, struct err *e);
int trainer_take(struct trainer *t, struct err *e);
int step_begin(struct trainer *t, struct err *e);
void step_fill(struct trainer *t);
void step_add(struct trainer *t);
int step_more(struct trainer *t, struct err *e);
void step_forget(struct trainer *t);
int step_end(struct trainer *t, struct err *e);
/* trainer_ranks.c: refuses what ranks cannot share; deals parameters and plans, once the steps are walked (leaves: that
 * trees of this rank have at most; bytes: of memory); takes it. A step: who has which micro-batch; the next one is
 * another's; the tree has one more leaf; every rank's leaves; the gradient's sum, of which what this rank updates
 * counts; the norm's partials of all ranks; their weights. */
int share_check(const struct trainer *t, struct err *e);
void share_plan(struct trainer *t);
long share_leaves(const struct trainer *t);
size_t share_bytes(const struct trainer *t);
int share_start(struct trainer *t, struct err *e);
void share_release(struct sharing *s);
int share_order(struct trainer *t, struct err *e);
void share_begin(struct trainer *t);
void share_forget(struct trainer *t);
bool share_passes(struct trainer *t);
int share_added(struct trainer *t, struct err *e);
int share_leaf_sums(struct trainer *t, struct err *e);
int share_sum(struct trainer *t, float **gradient, struct err *e);
int share_norm(struct trainer *t, struct err *e);
/* What the objective sees of this micro-batch is kept until all ranks have theirs (false: there are none), then
 * step_passed; every rank has the gradient's sum. */
bool share_keeps(struct trainer *t);
void step_passed(struct trainer *t);
int share_gradient(struct trainer *t, float *gradient, struct err *e);
int share_weights(struct trainer *t, struct err *e);
int share_show(struct trainer *t, struct err *e);
/* trainer_zero3.c: what it is not for, or NULL; makes the list, of a plan of the steps; bytes of its trees; when the
 * weights begin; weight i has begun; the steps' memory. A round: this rank's nodes have run (own), or it walks along;
 * the step's sum; the update is made. Of rank 0: one weight (NULL: lost), which may lie in scratch; all of them until
 * zero3_scatter; of the others what they give for it. */
const char *zero3_refuse(const struct trainer *t);
void zero3_plan(struct trainer *t, const struct plan *p);
size_t zero3_tree_bytes(const struct trainer *t);
void zero3_begin(struct trainer *t);
void zero3_begun(struct trainer *t, size_t item);
int zero3_start(struct trainer *t, struct err *e);
void zero3_release(struct trainer *t);
int zero3_round(struct trainer *t, bool own, struct err *e);
float *zero3_sum(struct trainer *t);
void zero3_updated(struct trainer *t);
void zero3_forget(struct trainer *t);
const float *zero3_weight(struct trainer *t, uint32_t item, float *scratch, struct err *e);
int zero3_gather(struct trainer *t, struct err *e);
void zero3_scatter(struct trainer *t);
void zero3_lend(struct trainer *t, int64_t number, struct err *e);
/* trainer_save.c: what a rank that follows does of a checkpoint, in the folder as it is written, and of going on. */
void trainer_save_part(struct trainer *t, const char *dir, struct err *e);
void trainer_load_part(struct trainer *t, const char *dir, long step, struct err *e);
void trainer_show_part(struct trainer *t, bool kept, struct err *e); /* what counts, for now or for good */
/* trainer_plan.c: records the step anew, of the blocks from first_block on, and plans it as it comes or within a
 * limit. The lowest block that what is trained has changed, 0 where it cannot be known or begins before it, the number
 * of blocks where it only works on the head. */
int trainer_record_from(struct trainer *t, int first_block, struct err *e);
struct plan_options trainer_plan_options(const struct trainer *t); /* what the recipe says of recomputing and keeping */
int trainer_lowest_block(const struct trainer *t);
size_t trainer_state_bytes(const struct trainer *t);
/* trainer_order.c: the documents of a step (step counts from 0), and the walk over all of them. */
size_t order_groups(const struct trainer *t);          /* of an epoch, those of --replay too */
size_t order_most_group(const struct trainer *t);      /* documents of the largest */
long order_steps_per_epoch(const struct trainer *t);   /* of a batch that grows: of the first */
double order_epochs(const struct trainer *t, long from, long to); /* what part of an epoch, or how many, steps are */
double order_steps(const struct trainer *t, double epochs);
/* groups: [global], their numbers, or NULL; docs: [trainer_global_batch]; how many documents. */
size_t order_step(const struct trainer *t, long step, size_t *groups, const struct document **docs);
/* The documents that the next step learns from, into taken, and their groups, into taken_group. */
int order_take(struct trainer *t, size_t *n, struct err *e);
/* −1: interrupted, of many steps */
int order_dry_run(const struct trainer *t, int32_t max_tokens, struct dry_run *out, struct err *e);
struct live dry_run_mean(const struct dry_run *d); /* of a micro-batch; zeros where none is left */
/* The same of what `of` makes of a step's documents in place, whose number it returns. */
int order_walk(const struct trainer *t, const struct forest_options *forest,
               size_t (*of)(const struct trainer *t, const struct document **docs, size_t n), struct dry_run *out,
               struct err *e);
/* trainer_data.c */
int trainer_read_data(struct trainer *t, struct err *e);
void trainer_find_groups(struct dataset *d);           /* once its documents are there */
int trainer_check_groups(const struct trainer *t, struct err *e); /* that each fits into a micro-batch */
int trainer_check_invoked(const struct trainer *t, struct err *e); /* that an adapter that wants it is invoked */
void dataset_release(struct dataset *d);
/* trainer_windows.c: rows of token shards: opens them, and what of them is held out; room for a step's; their
 * documents from a position on; what a run would take. */
/* trainer_past.c: what all documents begin with, where the base alone reads it: once the forest's options are there;
 * its numbers, before the first step; bytes; whether two runs have the same. */
void past_open(struct trainer *t);
int past_begin(struct trainer *t, struct err *e);
size_t past_bytes(const struct trainer *t);
bool past_same(const struct trainer *a, const struct trainer *b);
void past_release(struct trainer *t);
/* trainer_instruction.c: rows among windows: how many groups of them come before a step; makes those groups, before
 * they are found; what they change of a plan of windows. */
uint64_t instruction_before(const struct trainer *t, long step);
void instruction_join(struct dataset *d, int32_t length, uint64_t seed);
void instruction_plan(const struct trainer *t, int32_t max_tokens, struct dry_run *out);
bool trainer_is_windows(const struct trainer *t);
int trainer_open_windows(struct trainer *t, struct err *e);
int trainer_open_ramp(struct trainer *t, struct err *e); /* once `global` is known */
void trainer_room_windows(struct trainer *t);
void trainer_dry_windows(const struct trainer *t, int32_t max_tokens, struct dry_run *out);
/* trainer_steer.c: gives the groups of a filled micro-batch, and their labels, their weights. */
void trainer_weigh(const struct trainer *t, struct batch *b, const size_t *groups);
/* trainer_reference.c: plans it; makes it, with the weights of the start; and the columns of a filled micro-batch of
 * d, the objective's own too. */
int trainer_plan_reference(struct trainer *t, struct err *e);
int trainer_make_reference(struct trainer *t, struct err *e);
void trainer_keep_reference(struct trainer *t, const struct dataset *d, const struct batch *b,
                            const struct document *const *docs, const float *logprob);
void trainer_fill(struct trainer *t, const struct dataset *d, struct batch *b, const struct document *const *docs);
/* trainer_synced.c: whether it follows; plans it, whose scorer there is; what it says of the documents taken, before
 * the step looks at them, or of the evaluation's. */
int trainer_open_synced(struct trainer *t, struct err *e);
int trainer_plan_synced(struct trainer *t, struct err *e);
int synced_refer(struct trainer *t, struct err *e);
int synced_refer_eval(struct trainer *t, struct err *e);
int reference_open(struct trainer *t, struct err *e);  /* the other model or adapter, where there is one */
void reference_release(struct reference *r);
/* trainer.c: what lies under what is trained, where that is an adapter over another; NULL: the model itself */
const struct overlay *trainer_under(const struct trainer *t);
bool reference_is_start(const struct trainer *t);      /* the objective has one, and it is the run's own start */
/* What loss may need of micro-batches of so many documents. */
void trainer_reserve_documents(struct trainer *t, int32_t docs);
/* trainer_look.c: makes what stands beside the rows, once the schedule is there; plans. The reference of what stands
 * beside a step's documents, or beside the evaluation's. Before the micro-batches of a step (its documents are taken),
 * or of an evaluation, whose scorer's micro-batches it may want to see: then true. Of a micro-batch of the first step,
 * and of all of it: that nothing has moved from the reference yet. */
int look_open(struct trainer *t, struct err *e);
int look_plan(struct trainer *t, struct err *e);
int look_reference(struct trainer *t, const struct document *const *docs, size_t n, struct err *e);
int look_eval_reference(struct trainer *t, struct err *e);
int look_whole(struct trainer *t, bool eval, struct err *e);
bool look_sees(struct trainer *t, struct batch *b, const struct document *const *docs, const float *logprob);
void look_check(struct trainer *t, const struct batch *b, const float *logprob);
int look_check_start(const struct trainer *t, struct err *e);
void look_say(const struct trainer *t); /* after a step: how far another reference was off at the first */
void look_release(struct looking *l);
/* trainer_feed.c: for an adapter that begins by the rows, once they and the schedule are there. */
int trainer_feed(struct trainer *t, struct err *e);
/* trainer_balance.c: how much it counts; before graph_hidden; after it, and after the objective's own; of a
 * micro-batch that has run, into the sums; and as a metric of the step. */
int balance_open(struct trainer *t, struct err *e);
void balance_begin(const struct trainer *t, struct graph *g);
void balance_record(const struct trainer *t, struct graph *g);
void balance_add(struct trainer *t, const struct batch *b);
void balance_tell(struct trainer *t, struct objective_metrics *m);
int trainer_metrics(const struct trainer *t);          /* of the objective itself; its sums have room for more */
/* trainer_z_loss.c: before graph_logprob; after the objective's own; of a micro-batch that has run, into the sums; and
 * as a metric of the step. */
void z_loss_begin(const struct trainer *t, struct graph *g);
int z_loss_record(const struct trainer *t, struct graph *g, struct err *e);
void z_loss_add(struct trainer *t, const struct batch *b);
void z_loss_tell(struct trainer *t, struct objective_metrics *m);
/* trainer.c: micro-batches of a step at most; a number more that is told of one */
long trainer_leaves(const struct trainer *t);
void trainer_tell(struct trainer *t, struct objective_metrics *m, const char *name, double value);
/* trainer_kl.c: plans it, once the steps are walked; operations and seconds of all steps; takes its memory, after the
 * gradients'; of the n documents taken, when the step's own micro-batches, whose number is given, have run: its
 * leaves of the gradient and operations, −1: given up; the mean of that step; gives memory back. */
bool kl_wanted(const struct trainer *t);
int kl_plan(struct trainer *t, struct err *e);
struct work kl_planned(const struct trainer *t);
int kl_seconds(struct trainer *t, double *seconds, struct err *e);
int kl_start(struct trainer *t, struct err *e);
int kl_step(struct trainer *t, size_t n, uint32_t micro, struct work *work);
double kl_mean(const struct trainer *t);
void kl_stop(struct trainer *t);
void kl_release(struct trainer *t);
/* trainer_penalty.c: of --l2-sp and --ewc: bytes of the whole run, what a step takes besides; room in micro-batches
 * for Fisher's documents, whose rows are returned; their memory and numbers, with the weights of the start; adds to a
 * gradient that will be divided by `weight`, and returns the penalty. --layer-lr-decay, before there is an
 * optimizer. */
size_t penalty_bytes(const struct trainer *t);
/* trainer_moved.c: taken at the start; before and after an update */
size_t moved_bytes(const struct trainer *t);
int moved_begin(struct trainer *t, struct err *e);
void moved_keep(struct trainer *t);
void moved_tell(struct trainer *t, struct step_metrics *out);
void moved_release(struct trainer *t);
struct optim_cost penalty_cost(const struct trainer *t);
/* trainer_qat.c: once there is what is trained: which types, and where numbers will be. Bytes of the whole run. Before
 * anything is computed with the weights of the start. What is trained has changed, after so many steps. Weight i as it
 * is trained, rows as the model's file has them. Seconds of making all anew. The file. */
int qat_open(struct trainer *t, struct err *e);
size_t qat_bytes(const struct trainer *t);
int qat_begin(struct trainer *t, struct err *e);
void qat_follow(struct trainer *t, long done);
void qat_latent(struct trainer *t, int i, float *out);
int qat_seconds(const struct trainer *t, double *seconds, struct err *e);
/* trainer_ranges.c: once types are known; scales of weight i, or NULL; of the weights of the start (of_file: as the
 * model's file has them, where it is of the type) or of what is trained now; before a step's gradient is clipped. */
int ranges_open(struct trainer *t, struct err *e);
float *ranges_at(const struct trainer *t, int i);
void ranges_begin(struct trainer *t, bool of_file);
int ranges_follow(struct trainer *t, float *gradient, struct err *e);
int qat_save(struct trainer *t, const char *dir, struct err *e);
void qat_release(struct trainer *t);
double penalty_reserve(const struct trainer *t, struct batch_cap *cap);
int penalty_begin(struct trainer *t, struct err *e);
double penalty_add(struct trainer *t, float *gradient, double weight);
void penalty_release(struct trainer *t);
void penalty_layer_rates(struct trainer *t);
/* trainer_forgetting.c: plans it, with its seconds; draws the texts, before the memory of the steps is taken. */
int trainer_plan_forgetting(struct trainer *t, struct err *e);
/* need: the process's memory then; where it is over the limit nothing is measured, else the plan has it. */
void trainer_settle_forgetting(struct trainer *t, size_t need, size_t limit);
int trainer_draw_own_texts(struct trainer *t, struct err *e);
void forgetting_release(struct forgetting *f);
/* trainer_safety.c: what is asked, where the run is long enough, once its rows are known; plans it; both sides, when
 * what was forgotten is known. *stopped becomes true where nobody wants to wait for it. */
int safety_open(struct trainer *t, struct err *e);
int safety_plan(struct trainer *t, struct err *e);
int safety_measure(struct trainer *t, struct safety_metrics *m, bool (*interrupted)(void), bool *stopped,
                   struct err *e);
void safety_release(struct safety *s);
/* trainer_order.c: with its options the objective makes its documents itself */
bool trainer_makes(const struct trainer *t);
/* trainer_eval.c: the objective plans what it makes by itself */
int trainer_plan_making(struct trainer *t, struct err *e);
/* trainer_plan.c */
int trainer_make_plan(struct trainer *t, struct err *e);
int trainer_check_machine(const struct trainer *t, struct err *e);
int trainer_check_disk(const struct trainer *t, struct err *e);
/* trainer_time.c: the plan's seconds, by running a little of it */
int trainer_measure_time(struct trainer *t, struct err *e);
/* trainer_save.c: what averages, and is evaluated and kept, is where the weights are, in all ranks, until trainer_hide;
 * *shown false: there is no such thing. What steps change stands in the gradients' memory meanwhile. */
int trainer_show(struct trainer *t, bool *shown, struct err *e);
void trainer_hide(struct trainer *t, bool shown);
/* trainer_eval.c */
int trainer_make_scorer(struct trainer *t, struct err *e);

#endif
