package org.edgewise.app.engine;

import java.io.File;
import java.util.Set;
import org.edgewise.app.model.Sidecar;

/** A library that runs artifacts. */
public interface Engine {
    /** Returns its name in the matrix: litert, onnxruntime or executorch. */
    String id();

    /** Returns what it can be asked to compute with in this build; only what it can tell the outcome of. */
    Set<Accelerator> accelerators();

    /** Loads an artifact. Libraries throw anything, errors of linking among it. */
    Loaded load(File file, Sidecar sidecar, Settings settings) throws Exception;
}
