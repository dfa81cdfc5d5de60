/* session_parts: what session.c and session_snapshot.c share; nobody else includes it. */
#ifndef INFER_SESSION_PARTS_H
#define INFER_SESSION_PARTS_H

#include "infer/sequences.h"
#include "infer/session.h"
#include "model/model_pass.h"

struct session {
	struct model *model;
	struct device *device;
	struct sequences sequences;
	struct memory memory;
	bool own_keys;                 /* an overlay changes keys or values */
	int *adapter;                  /* [n_sequences] of several, see session_use */
	int *order;                    /* [n_sequences] those of a step, as their rows come */
	struct session_part **part_of; /* [n_sequences] of a step */
	struct model_pass net;
	struct kv_tensors *kv;         /* [n_layers] */
	struct live work;              /* of all steps */
};

#endif
