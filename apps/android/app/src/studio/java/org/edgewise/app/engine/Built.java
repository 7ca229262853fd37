package org.edgewise.app.engine;

import java.util.List;

/** The engines of a build in Android Studio; `python -m apps.android` writes its own. */
final class Built {
    private Built() {}

    static List<Engine> engines() {
        return List.of(new LiteRt(), new OnnxRuntime(), new ExecuTorch());
    }
}
