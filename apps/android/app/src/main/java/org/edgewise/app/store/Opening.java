package org.edgewise.app.store;

import android.content.ContentResolver;
import android.database.Cursor;
import android.net.Uri;
import android.provider.OpenableColumns;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;

/** Two files that a person chose, an artifact and its sidecar in either order, become an artifact that is kept. */
public record Opening(ContentResolver resolver, Library library) {
    /** Returns the artifact of two files; refuses anything else. */
    public Artifact open(List<Uri> chosen) throws Refused {
        if (chosen.size() != 2) throw new Refused(R.string.choose_two, chosen.size());
        boolean first = isJson(chosen.get(0));
        if (first == isJson(chosen.get(1))) throw new Refused(first ? R.string.two_sidecars : R.string.no_sidecar);
        Uri sidecar = chosen.get(first ? 0 : 1);
        Uri bytes = chosen.get(first ? 1 : 0);
        try {
            return library.keep(Texts.read(stream(sidecar)), stream(bytes));
        } catch (IOException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        }
    }

    private boolean isJson(Uri uri) throws Refused {
        try (InputStream stream = stream(uri)) {
            int first = stream.read();
            if (first < 0) throw new Refused(R.string.empty_file, name(uri));
            return first == '{';
        } catch (IOException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        }
    }

    private InputStream stream(Uri uri) throws IOException, Refused {
        try {
            InputStream stream = resolver.openInputStream(uri);
            if (stream == null) throw new FileNotFoundException(name(uri));
            return stream;
        } catch (SecurityException | UnsupportedOperationException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        }
    }

    private String name(Uri uri) {
        try (Cursor cursor = resolver.query(uri, new String[] {OpenableColumns.DISPLAY_NAME}, null, null, null)) {
            if (cursor != null && cursor.moveToFirst()) return cursor.getString(0);
        } catch (RuntimeException error) {
            // a provider that does not tell a name: the address must do
        }
        return String.valueOf(uri.getLastPathSegment());
    }
}
