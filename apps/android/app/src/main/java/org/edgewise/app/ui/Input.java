package org.edgewise.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.graphics.Bitmap;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.Gravity;
import android.view.View;
import android.view.ViewGroup;
import android.widget.ImageView;
import android.widget.Spinner;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.edgewise.app.R;
import org.edgewise.app.model.Golden;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;

/** A screen that shows the networks a drawing where they read single characters, else a photograph; and examples to tap. */
abstract class Input extends Screen {
    private static final String POINTS = "points";
    private static final String WIDTHS = "widths";

    private final PadView pad;
    private List<String> groups = List.of(); // of networks, that are offered
    private String prepared; // for the group of networks of this name

    Input(Activity activity, ViewGroup parent, int layout) {
        super(activity, parent, layout);
        pad = view.findViewById(R.id.pad);
        pad.connect(view.findViewById(R.id.brush), this::drawn);
        view.findViewById(R.id.undo).setOnClickListener(button -> pad.undo());
        view.findViewById(R.id.clear).setOnClickListener(button -> pad.clear());
        view.findViewById(R.id.choose).setOnClickListener(button ->
                ask(document("image/*"), PICTURE, R.id.input_status, R.string.no_file_app));
        view.findViewById(R.id.take).setOnClickListener(button ->
                ask(new Intent(MediaStore.ACTION_IMAGE_CAPTURE), PHOTO, R.id.input_status, R.string.no_camera_app));
    }

    /** Returns what is said before anything was shown to the networks. */
    int idle() {
        Sidecar sidecar = sidecar();
        return sidecar != null && sidecar.readsDrawings() ? R.string.idle_draw
                : takesPhotos(sidecar) ? R.string.idle_choose : R.string.idle_tap;
    }

    private Sidecar sidecar() {
        List<Artifact> shown = session.shown();
        return shown.isEmpty() ? null : shown.get(0).sidecar();
    }

    private static boolean takesPhotos(Sidecar sidecar) {
        return sidecar != null && (sidecar.size.channels() == 1 || sidecar.size.channels() == 3);
    }

    /** Shows what there is to give pictures with, and what the networks see. */
    @Override
    void show() {
        offer(session.groups());
        Sidecar sidecar = sidecar();
        set(R.id.input, sidecar != null);
        boolean draws = sidecar != null && sidecar.readsDrawings();
        boolean photos = !draws && takesPhotos(sidecar);
        set(R.id.drawing, draws);
        set(R.id.drawing_tools, draws);
        set(R.id.photo_tools, photos);
        TextView title = view.findViewById(R.id.input_title);
        title.setText(!draws ? R.string.show_picture : sidecar.readsDigits() ? R.string.draw : R.string.draw_character);
        String size = sidecar == null ? "" : described(sidecar);
        TextView caption = view.findViewById(R.id.size); // below the preview, which is beside the pad or alone
        caption.setText(activity.getString(R.string.see, size));
        caption.setGravity(draws ? Gravity.END : Gravity.START);
        ImageView seen = view.findViewById(R.id.seen);
        Picture picture = session.picture();
        seen.setImageDrawable(picture == null ? null : Photos.shown(activity.getResources(), picture));
        seen.setContentDescription(activity.getString(picture == null ? R.string.sees_nothing : R.string.sees_picture));
        if (!session.group().equals(prepared)) examples(sidecar);
        prepared = session.group();
    }

    /** Offers networks that cannot answer one picture; nothing is shown where all can. */
    private void offer(Map<String, List<Artifact>> grouped) {
        set(R.id.networks, grouped.size() > 1);
        List<String> keys = List.copyOf(grouped.keySet());
        if (keys.equals(groups)) return;
        groups = keys;
        List<String> names = new ArrayList<>();
        for (List<Artifact> members : grouped.values()) {
            String models = members.stream().map(artifact -> artifact.sidecar().model).distinct().collect(Collectors.joining(", "));
            Sidecar sidecar = members.get(0).sidecar();
            names.add(activity.getString(R.string.networks_named, models, sidecar.size.width(), sidecar.size.height(), sidecar.classes()));
        }
        Spinner networks = view.findViewById(R.id.networks);
        offer(networks, names, chosen -> session.use(keys.get(chosen)));
        networks.setSelection(Math.max(0, keys.indexOf(session.group())));
    }

    private String described(Sidecar sidecar) {
        int channels = sidecar.size.channels();
        String colours = channels == 1 ? activity.getString(R.string.grey)
                : channels == 3 ? activity.getString(R.string.colour) : activity.getString(R.string.channels, channels);
        return sidecar.size.width() + "×" + sidecar.size.height() + ", " + colours;
    }

    private void set(int id, boolean visible) {
        view.findViewById(id).setVisibility(visible ? View.VISIBLE : View.GONE);
    }

    /** Offers the golden pictures of the sidecars, each once. */
    private void examples(Sidecar sidecar) {
        ViewGroup list = view.findViewById(R.id.examples);
        list.removeAllViews();
        set(R.id.examples_title, sidecar != null && !sidecar.golden.isEmpty());
        if (sidecar == null) return;
        for (Golden golden : sidecar.golden) {
            View example = activity.getLayoutInflater().inflate(R.layout.example, list, false);
            ImageView picture = example.findViewById(R.id.picture);
            picture.setImageDrawable(Photos.shown(activity.getResources(), golden.picture()));
            picture.setContentDescription(activity.getString(R.string.example, sidecar.named(golden.label())));
            picture.setOnClickListener(tapped -> {
                pad.show(new ArrayList<>());
                session.show(golden.picture());
                say(R.id.input_status, activity.getString(R.string.example_label, sidecar.named(golden.label())), false);
            });
            list.addView(example);
        }
    }

    private void drawn() {
        Sidecar sidecar = sidecar();
        byte[] seen = sidecar == null ? null : Ink.see(pad.strokes(), sidecar.size);
        session.show(seen == null ? null : Range.picture(seen, sidecar));
        say(R.id.input_status, "", false);
    }

    @Override
    void result(int request, Intent data) {
        Sidecar sidecar = sidecar();
        if (sidecar == null || (request != PICTURE && request != PHOTO)) return;
        try {
            Bitmap photo = request == PICTURE && data.getData() != null
                    ? Photos.read(activity.getContentResolver(), data.getData())
                    : data.getExtras() == null ? null : data.getExtras().getParcelable("data");
            if (photo == null) throw new Refused(R.string.not_a_picture);
            session.show(Photos.picture(photo, sidecar));
            say(R.id.input_status, activity.getString(R.string.picture_resized, photo.getWidth(), photo.getHeight(), described(sidecar)), false);
        } catch (Refused refused) {
            say(R.id.input_status, refused.sentence(activity.getResources()), true);
        } catch (OutOfMemoryError error) {
            say(R.id.input_status, activity.getString(R.string.picture_too_large), true);
        }
    }

    @Override
    void save(Bundle state) {
        ArrayList<float[]> lines = new ArrayList<>();
        float[] widths = new float[pad.strokes().size()];
        for (int i = 0; i < widths.length; i++) {
            lines.add(pad.strokes().get(i).points());
            widths[i] = pad.strokes().get(i).width();
        }
        state.putSerializable(POINTS, lines);
        state.putFloatArray(WIDTHS, widths);
    }

    @Override
    @SuppressWarnings("unchecked") // what save() wrote
    void restore(Bundle state) {
        ArrayList<float[]> lines = (ArrayList<float[]>) state.getSerializable(POINTS);
        float[] widths = state.getFloatArray(WIDTHS);
        if (lines == null || widths == null || lines.isEmpty()) return;
        List<Ink.Stroke> strokes = new ArrayList<>();
        for (int i = 0; i < widths.length; i++) strokes.add(new Ink.Stroke(lines.get(i), widths[i]));
        pad.show(strokes);
        if (session.picture() == null) drawn(); // the process was killed: its answers are gone
    }
}
