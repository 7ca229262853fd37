package org.edgewise.app;

import static org.junit.Assert.*;

import android.app.Activity;
import android.content.Intent;
import android.graphics.Bitmap;
import android.os.Bundle;
import android.text.Layout;
import android.view.View;
import android.view.ViewGroup;
import android.widget.Spinner;
import android.widget.TextView;
import java.util.List;
import org.edgewise.app.model.Picture;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.ui.MainActivity;
import org.junit.Test;
import org.robolectric.Robolectric;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;

/** One stroke, every artifact's answer. */
public class CompareTest extends AppCase {
    private static final int DIGITS = 6; // artifacts of the digits' network that the tests pack

    @Test
    public void aStrokeIsAnsweredByEveryArtifactOfEachFormat() {
        start();
        shoot("compare-empty");
        assertEquals("Draw, and every artifact answers after each stroke.", text(R.id.verdict));
        drawSeven();
        awaitAnswers();
        shoot("compare-portrait");
        assertEquals("All 6 answer 7.", text(R.id.verdict));
        assertEquals(DIGITS, ((ViewGroup) find(R.id.cards)).getChildCount());
        for (int i = 0; i < DIGITS; i++) {
            assertEquals("7", card(i, R.id.label));
            assertTrue(card(i, R.id.check), card(i, R.id.check).startsWith("✓ self-check"));
        }
        press(R.id.undo);
        assertEquals("Draw, and every artifact answers after each stroke.", text(R.id.verdict));
    }

    @Test
    @Config(qualifiers = "w411dp-h1500dp-port-xhdpi")
    public void anExampleOfTheSidecarIsAnsweredAndWhoDiffersIsTold() {
        start();
        ViewGroup examples = find(R.id.examples);
        assertEquals(4, examples.getChildCount());
        touch(examples.getChildAt(3).findViewById(R.id.picture), 0.5f, 0.5f); // the hardest: an image next to the border of two classes
        awaitAnswers();
        shoot("compare-tall-example");
        List<Artifact> shown = app().session().shown();
        long sevens = shown.stream().filter(a -> app().session().status(a.id()).answer.choice() == 7).count();
        assertEquals(sevens == 0 || sevens == shown.size(), !text(R.id.verdict).startsWith("They disagree"));
    }

    @Test
    @Config(qualifiers = "w640dp-h360dp-land-xhdpi")
    public void inLandscapeThePadIsBesideTheAnswers() {
        startWithASeven();
        shoot("compare-landscape");
        int[] pad = new int[2];
        int[] cards = new int[2];
        find(R.id.pad).getLocationInWindow(pad);
        find(R.id.cards).getLocationInWindow(cards);
        assertTrue(pad[0] + find(R.id.pad).getWidth() <= cards[0]);
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-port-night-xhdpi")
    public void atNightItIsDark() {
        startWithASeven();
        shoot("compare-night");
        assertEquals(0xff14171b, activity().getColor(R.color.paper));
    }

    @Test
    @Config(qualifiers = "w800dp-h1280dp-port-xhdpi")
    public void aTabletShowsCardsSideBySide() {
        startWithASeven();
        shoot("compare-tablet");
        ViewGroup cards = find(R.id.cards);
        assertEquals(cards.getChildAt(0).getTop(), cards.getChildAt(1).getTop());
    }

    @Test
    @Config(qualifiers = "w360dp-h640dp-port-xhdpi")
    public void withLargeFontsEverythingIsStillThere() {
        RuntimeEnvironment.setFontScale(2);
        startWithASeven();
        shoot("compare-large-fonts");
        for (int id : new int[] {R.id.tab_compare, R.id.tab_check, R.id.tab_benchmark, R.id.undo, R.id.clear}) {
            View view = find(id);
            assertTrue(view.getHeight() >= 48 * 2 && view.getWidth() >= 48 * 2); // xhdpi: two pixels each
        }
        assertWhole(find(R.id.networks));
        ViewGroup cards = find(R.id.cards);
        assertTrue("one card beside the other has no room for its words", cards.getChildAt(1).getTop() > cards.getChildAt(0).getTop());
        scrollTo(cards.getChildAt(0));
        shoot("compare-large-fonts-card");
        press(R.id.tab_check);
        layOut();
        assertWhole(find(R.id.accelerator));
    }

    /** A choice says all of what is chosen, on as many lines as that takes. */
    private static void assertWhole(Spinner choice) {
        Layout shown = ((TextView) choice.getSelectedView()).getLayout();
        for (int line = 0; line < shown.getLineCount(); line++) assertEquals(0, shown.getEllipsisCount(line));
        assertTrue(choice.getHeight() >= shown.getHeight());
    }

    @Test
    @Config(qualifiers = "w411dp-h1200dp-port-xhdpi")
    public void networksOfPicturesWithNamedClassesAreAskedForAPicture() {
        start();
        Spinner networks = find(R.id.networks);
        assertEquals(View.VISIBLE, networks.getVisibility());
        use("fruit");
        assertEquals("Show a picture", text(R.id.input_title));
        assertEquals(View.GONE, find(R.id.drawing).getVisibility());
        ViewGroup examples = find(R.id.examples);
        touch(examples.getChildAt(0).findViewById(R.id.picture), 0.5f, 0.5f);
        awaitAnswers();
        shoot("compare-pictures");
        int label = app().session().shown().get(0).sidecar().golden.get(0).label();
        assertEquals("It answers " + app().session().shown().get(0).sidecar().named(label) + ".", text(R.id.verdict));
        assertFalse(text(R.id.size).contains("28"));
    }

    @Test
    public void aPictureFromTheFilesOrTheCameraIsAnswered() {
        start();
        use("fruit");
        Bitmap photo = photo(0xff3366cc);
        choose(R.id.choose, "photo.png", png(photo));
        awaitAnswers();
        assertEquals("300×200: its middle is resized to 16×12, colour.", text(R.id.input_status));
        Picture seen = app().session().picture();
        assertEquals(0x33 / 255f, seen.value(0), 1 / 255f);
        assertEquals(0xcc / 255f, seen.value(2), 1 / 255f);
        app().session().show(null);
        press(R.id.take);
        answer(Activity.RESULT_OK, new Intent().putExtra("data", photo));
        awaitAnswers();
        shoot("compare-photo");
        choose(R.id.choose, "no.png", "no picture".getBytes());
        assertEquals("This file is no picture that Android can read.", text(R.id.input_status));
    }

    /** The pictures of the documents. */
    @Test
    @Config(qualifiers = "w390dp-h760dp-port-hdpi")
    public void theThreeScreensOfTheDocuments() {
        startWithASeven();
        shoot("docs-compare");
        press(R.id.tab_check);
        check();
        shoot("docs-check");
        press(R.id.tab_benchmark);
        measure(5, ONNX, "torch_cnn_small-tflite-int8");
        awaitEnd();
        shoot("docs-benchmark");
        assertEquals(2, app().measuring().rows().size());
    }

    @Test
    public void aRotationKeepsTheDrawingAndItsAnswersAndTheDrawingComesBackAfterTheProcessWasKilled() {
        startWithASeven();
        RuntimeEnvironment.setQualifiers("w891dp-h411dp-land-xhdpi");
        controller.recreate();
        idle();
        assertEquals("All 6 answer 7.", text(R.id.verdict));
        shoot("compare-rotated");
        press(R.id.tab_check);
        Bundle saved = new Bundle();
        controller.pause().stop().saveInstanceState(saved).destroy();
        app().session().show(null); // as in a new process, where nothing was answered yet
        controller = Robolectric.buildActivity(MainActivity.class).setup(saved);
        awaitAnswers();
        assertTrue("the screen that was shown", find(R.id.tab_check).isSelected());
        press(R.id.tab_compare);
        assertEquals("All 6 answer 7.", text(R.id.verdict));
    }

    @Test
    public void everythingThatCanBeTouchedIsLargeEnoughAndNamed() {
        start();
        for (int tab : new int[] {R.id.tab_compare, R.id.tab_check, R.id.tab_benchmark}) {
            press(tab);
            layOut();
            require((ViewGroup) activity().getWindow().getDecorView());
        }
    }

    private void require(ViewGroup group) {
        for (int i = 0; i < group.getChildCount(); i++) {
            View view = group.getChildAt(i);
            if (!view.isShown()) continue;
            if (view.isClickable() && view.isEnabled()) {
                String name = view.getResources().getResourceName(view.getId());
                assertTrue(name + " is " + view.getHeight() + " pixels high", view.getHeight() >= 2 * 48);
                boolean named = view.getContentDescription() != null || (view instanceof TextView text && text.getText().length() > 0);
                assertTrue(name + " has no name", named);
            }
            if (view instanceof ViewGroup inner) require(inner);
        }
    }
}
